"""Which trainings need weights to start from, and which file each gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, RunConfig, load_config, parse_config

CONFIGS = Path(__file__).parents[2] / "config"
SCRATCH = {"norm": "group", "frozen_stages": 0}


def run_of(
    training: dict[str, Any], model: dict[str, Any], backbone: Backbone = Backbone.RESNET50
) -> RunConfig:
    values = {
        "backbones": ["resnet18", "resnet50"],
        "model": {"norm_groups": 16} | model,
        "training": training,
    }
    return parse_config(values, "test", Config).for_run(Method.VATRACK, backbone)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ({}, "frozen_stages 1 and norm batch need pretrained weights, but none are given "),
        ({"frozen_stages": 3}, "frozen_stages 3 and norm batch need pretrained"),
        ({"frozen_stages": 0}, "norm batch needs pretrained weights, but none"),
        ({"norm": "group"}, "frozen_stages 1 needs pretrained weights, but none"),
    ],
)
@pytest.mark.parametrize("training", [{}, {"weights": {"resnet18": "r18.pth"}}])
def test_a_frozen_random_backbone_is_refused(
    training: dict[str, Any], model: dict[str, Any], complaint: str
) -> None:
    run = run_of(training, model)
    with pytest.raises(InputError) as caught:
        run.check_start()
    assert str(caught.value).startswith(f"config: training.weights: {complaint}")
    for fix in (
        "for resnet50; set training.weights: {resnet50: FILE}",
        "or model: {norm: group, frozen_stages: 0}",
        "or training.random_start: true",
    ):
        assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("training", "model"),
    [
        ({}, SCRATCH),
        ({"random_start": True}, {}),
        ({"weights": "r50.pth"}, {}),
        ({"weights": {"resnet50": "r50.pth"}}, {}),
    ],
)
def test_others_may_begin(training: dict[str, Any], model: dict[str, Any]) -> None:
    run_of(training, model).check_start()


def test_each_backbone_has_its_file() -> None:
    training = {"weights": {"resnet50": "r50.pth"}}
    assert run_of(training, {}).training.weights == Path("r50.pth")
    assert run_of(training, {}, Backbone.RESNET18).training.weights is None
    assert run_of({"weights": "x.pth"}, {}, Backbone.RESNET18).training.weights == Path("x.pth")
    copied = training | {"copy_visible_to_amodal": True}
    assert run_of(copied, {}).training.copy_visible_to_amodal
    with pytest.raises(InputError, match=r"training\.weights has no file for resnet18; add one"):
        run_of(copied, {}, Backbone.RESNET18)


@pytest.mark.parametrize("weights", [{"resnet": "x.pth"}, 3, ["x.pth"]])
def test_bad_values_are_named(weights: Any) -> None:
    with pytest.raises(InputError, match=r"training\.weights"):
        parse_config({"training": {"weights": weights}}, "test", Config)


@pytest.mark.parametrize(
    "url", ["https://example.org/resnet50.pth", "https://example.org/x-0123456.pth", "x-0123zzzz.p"]
)
def test_an_address_must_end_in_a_checksum(url: str) -> None:
    with pytest.raises(InputError, match=r"weights_urls.*first eight or more digits"):
        parse_config({"training": {"weights_urls": [url]}}, "test", Config)


def test_a_random_start_is_a_permission_and_no_other_training() -> None:
    weights = {"weights_urls": ["https://example.org/x-01234567.pth"]}
    first, second = run_of({}, {}).recipe(), run_of({"random_start": True} | weights, {}).recipe()
    assert first == second
    # Under the names of older versions, so that their trainings are still the same.
    assert first["training"]["initial_checkpoint"] is first["training"]["backbone_weights"] is None
    other = run_of({"weights": "x.pth"}, {}).recipe()
    assert other["training"]["initial_checkpoint"] == "x.pth"
    assert "weights" not in other["training"]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_of_the_repository_may_begin(path: Path) -> None:
    config = load_config(path)
    for method in config.methods:
        for backbone in config.backbones:
            config.for_run(method, backbone).check_start()
    assert not config.training.random_start
