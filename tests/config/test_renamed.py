"""Configs with keys of older versions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, load_config, load_run_config, parse_config
from vatrack.config.renamed import RENAMED, STARTS, with_new_names

OLD = {
    "image_scale": [640, 400],
    "device": "cpu",
    "precision": "bfloat16",
    "tf32": True,
    "channels_last": True,
    "compile": True,
    "workers": 7,
}


def old_form(values: dict[str, Any]) -> dict[str, Any]:
    """The config of a run as older versions wrote it: no `input`, no `compute`."""
    moved = values.pop("input") | values.pop("compute")
    values["training"] |= {key: value for key, value in moved.items() if key in OLD}
    for key in ("weights", "weights_urls", "random_start"):
        del values["training"][key]
    values["training"] |= {"initial_checkpoint": None, "backbone_weights": None}
    return values


def test_the_folder_of_an_older_run_is_read(tmp_path: Path) -> None:
    new = {"input": {"image_scale": OLD["image_scale"]}, "compute": {**OLD}}
    del new["compute"]["image_scale"]
    run = parse_config(new, "test", Config).for_run(Method.QDTRACK, Backbone.RESNET50)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(old_form(run.model_dump(mode="json"))))
    with pytest.warns(UserWarning, match="keys were renamed") as notes:
        assert load_run_config(path) == run
    (note,) = notes
    assert str(note.message).startswith(f"{path}: keys were renamed; ")
    for old, new_name in RENAMED.items():
        assert old in STARTS or f"{old} -> {new_name}" in str(note.message)


def test_a_users_old_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {workers: 3, epochs: 2}\ncompute: {tf32: true}\n")
    with pytest.warns(UserWarning, match=r"names: training\.workers -> compute\.workers$"):
        config = load_config(path)
    assert (config.compute.workers, config.compute.tf32, config.training.epochs) == (3, True, 2)


@pytest.mark.parametrize("old", STARTS)
def test_weights_to_start_from_have_one_key(old: str) -> None:
    key = old.removeprefix("training.")
    other = next(name for name in STARTS if name != old).removeprefix("training.")
    with pytest.warns(UserWarning, match=rf"names: {old} -> training\.weights$"):
        config = parse_config({"training": {key: "x.pth", other: None}}, "mine", Config)
    assert config.training.weights == Path("x.pth")
    with pytest.raises(InputError, match=rf"{old} is now training\.weights, but both are"):
        parse_config({"training": {key: "x.pth", "weights": "y.pth"}}, "mine", Config)


def test_a_run_that_named_both_files_is_read() -> None:
    """A checkpoint fills the whole backbone, or nothing of it: then the training is refused."""
    values = {"training": {"backbone_weights": "r50.pth", "initial_checkpoint": "coco.pth"}}
    with pytest.warns(UserWarning, match=r"backbone_weights -> nothing, .*checkpoint is taken"):
        config = parse_config(values, "mine", Config)
    assert config.training.weights == Path("coco.pth")


def test_every_new_name_is_a_key() -> None:
    plain = Config().model_dump()
    for old, new in RENAMED.items():
        (old_section, old_key), (section, key) = old.split("."), new.split(".")
        assert key in plain[section], new
        assert old_key not in plain[old_section], old


def test_a_config_of_today_gets_no_note() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_config(Config().model_dump(mode="json"), "test", Config) == Config()


def test_the_given_values_stay_as_they_are() -> None:
    values = {"training": {"workers": 3}}
    with pytest.warns(UserWarning, match="keys were renamed"):
        assert with_new_names(values, "x") == {"training": {}, "compute": {"workers": 3}}
    assert values == {"training": {"workers": 3}}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (
            {"training": {"workers": 3}, "compute": {"workers": 3}},
            r"mine: training\.workers is now compute\.workers, but both are given",
        ),
        ({"training": {"workers": -1}}, r"compute\.workers: -1 must be at least 0"),
        ({"training": {"workers": 1}, "compute": 5}, r"compute: 5 is not a mapping of keys; "),
    ],
)
@pytest.mark.filterwarnings("ignore:mine. keys were renamed")
def test_bad_values_of_old_keys_are_named(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse_config(values, "mine", Config)
