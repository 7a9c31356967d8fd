"""Unknown keys and values, values on the command line, and configs that runs keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, load_config, load_run, parse_config
from vatrack.config.keys import known_keys, overridden
from vatrack.config.reading import config_name


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"training": {"epoch": 1}}, "training.epoch: unknown key; did you mean training.epochs?"),
        ({"train": {"epochs": 1}}, "train: unknown key; did you mean training?"),
        ({"epochs": 1}, "epochs: unknown key; did you mean training.epochs?"),
        (
            {"training": {"learning_rate": 1}},
            "training.learning_rate: unknown key; did you mean training.optimizer.learning_rate?",
        ),
        (
            {"dataset": {"archives": [{"path": "a", "size_": 1}]}},
            "dataset.archives.0.size_: unknown key; did you mean dataset.archives.size?",
        ),
        ({"xyz": 1}, "xyz: unknown key; remove it"),
        (
            {"training.epochs": 6},
            "training.epochs: unknown key; write it in sections: training: {epochs: 6}",
        ),
        (
            {"training": {"optimizer.name": "sgd"}},
            "training.optimizer.name: unknown key; write it in sections: "
            "training: {optimizer: {name: sgd}}",
        ),
        ({"methods": ["vatrak"]}, "'vatrack-2bbox'; did you mean vatrack?"),
        ({"backbones": ["resnet5"]}, "'resnext101_64x4d'; did you mean resnet50?"),
        (
            {"training": {"batch_size": {"resnet5": 1}}},
            "training.batch_size.resnet5: 'resnet5' is not allowed; give 'resnet18', 'resnet50' or "
            "'resnext101_64x4d'; did you mean resnet50?",
        ),
        ({"dataset": {"classes": "sailvoss"}}, "'sailvos' or 'data'; did you mean sailvos?"),
        (
            {"training": {"epochs:6": None}},
            "training.epochs:6: unknown key; put a space behind the colon: epochs: 6",
        ),
        ({"seed:1": None, "results": "x"}, "seed:1: unknown key; put a space behind the colon"),
    ],
)
def test_what_was_meant_is_said(values: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_config(values, "mine.yaml", Config)
    assert any(line in shown for shown in str(refused.value).splitlines())


def test_sections_and_items_of_lists_are_keys() -> None:
    keys = known_keys(Config)
    wanted = {"seed", "training", "inference.tracker.metric", "dataset.archives.path"}
    assert wanted <= set(keys)
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["training.epochs=6"], {"training": {"epochs": 6, "flip": 0.5}}),
        (["training.epochs=6", "training.epochs=7"], {"training": {"epochs": 7, "flip": 0.5}}),
        (["training={epochs: 6}"], {"training": {"epochs": 6, "flip": 0.5}}),
        (["methods=[vatrack, qdtrack]"], {"methods": ["vatrack", "qdtrack"]}),
        (["mlflow.enabled=off"], {"mlflow": {"enabled": False}}),
        (["results=a=b"], {"results": "a=b"}),
        (["mlflow.tracking_uri="], {"mlflow": {"tracking_uri": None}}),
    ],
)
def test_values_are_typed_by_yaml(given: list[str], expected: dict[str, Any]) -> None:
    values = {"training": {"epochs": 3, "flip": 0.5}}
    assert overridden(values, given) == values | expected
    assert values == {"training": {"epochs": 3, "flip": 0.5}}


@pytest.mark.parametrize(
    "text",
    ["training.epochs", "=6", "a..b=1", "seed=[1", "a b=1", "training={epochs: 6, epochs: 7}"],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(
        InputError, match=r"^--set .*: (not a setting; write KEY=VALUE|not valid YAML)"
    ):
        overridden({}, [text])


def test_overrides_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {epochs: 3, batch_size: {resnet18: 2}, workers: 1}\n")
    with pytest.warns(UserWarning, match=r"training\.workers -> compute\.workers"):
        config = load_config(path, ["training.batch_size=4", "compute.workers=2"])
    assert (config.training.epochs, config.training.batch_size) == (3, 4)
    assert config.compute.workers == 2
    assert load_config(None, ["seed=7"]).seed == 7
    with pytest.raises(InputError) as refused, pytest.warns(match="renamed"):
        load_config(path, ["training.epoch=6"])
    assert f"{path} with --set training.epoch=6: " in str(refused.value)
    assert "training.epoch: unknown key; did you mean training.epochs?" in str(refused.value)


def kept(path: Path, **values: Any) -> Path:
    """The config.yaml of a run of vatrack with resnet50."""
    run = parse_config(values, "test", Config).for_run(Method.VATRACK, Backbone.RESNET50)
    path.write_text(yaml.safe_dump(run.model_dump(mode="json")))
    return path


def test_a_runs_own_config_is_a_config(tmp_path: Path) -> None:
    path = kept(tmp_path / "config.yaml", seed=3, training={"epochs": 2})
    config = load_config(path, ["training.flip=0"])
    assert (config.methods, config.backbones) == ((Method.VATRACK,), (Backbone.RESNET50,))
    assert (config.seed, config.training.epochs, config.training.flip) == (3, 2, 0)
    run = load_run(path)
    assert config.for_run(run.method, run.backbone) == load_run(path, overrides=["training.flip=0"])
    assert run.training.batch_size == 8


def test_the_classes_of_a_run_stay(tmp_path: Path) -> None:
    run = parse_config({"dataset": {"classes": "data"}}, "test", Config).for_run(
        Method.VATRACK, Backbone.RESNET18
    )
    values = run.model_dump(mode="json") | {"classes": ["cat", "dog"]}
    values["model"]["class_weights"] = [1.0, 2.0, 1.0]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    config = load_config(path)
    assert config.dataset.classes == ("cat", "dog")
    assert config.for_run(run.method, run.backbone).classes == load_run(path).classes


@pytest.mark.parametrize(
    ("method", "backbone", "message"),
    [
        ("qdtrack", None, "a run with method vatrack, not qdtrack; remove --method, or"),
        (None, "resnet18", "a run with backbone resnet50, not resnet18; remove --backbone, or"),
    ],
)
def test_another_run_than_that_of_the_file(
    tmp_path: Path, method: Method | None, backbone: Backbone | None, message: str
) -> None:
    path = kept(tmp_path / "config.yaml")
    with pytest.raises(InputError, match=message):
        load_run(path, method and Method(method), backbone and Backbone(backbone))
    assert load_run(path, Method.VATRACK, Backbone.RESNET50) == load_run(path)


def test_which_run_of_a_config_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("methods: [qdtrack]\nbackbones: [resnet50]\n")
    assert load_run(path).name == "qdtrack__resnet50"
    assert load_run(path, Method.VATRACK).name == "vatrack__resnet50"
    path.write_text("methods: [qdtrack, vatrack]\nbackbones: [resnet18, resnet50]\n")
    with pytest.raises(InputError) as refused:
        load_run(path)
    assert str(refused.value) == (
        f"{path}: describes several runs (methods: qdtrack, vatrack; backbones: resnet18, "
        f"resnet50); choose one with --method and --backbone"
    )
    assert load_run(path, Method.VATRACK, Backbone.RESNET18).name == "vatrack__resnet18"


def test_a_wrong_item_is_the_only_problem_of_its_list() -> None:
    with pytest.raises(
        InputError, match=r"invalid configuration:\n  methods\.0: .*; did you mean vatrack\?$"
    ):
        parse_config({"methods": ["vatrak"]}, "c.yaml", Config)
    with pytest.raises(InputError, match=r"methods: has 0 items; give at least 1"):
        parse_config({"methods": []}, "c.yaml", Config)


def test_a_config_is_called_by_its_files_and_overrides() -> None:
    assert config_name(None) == config_name() == "the configuration"
    assert config_name("a.yaml", overrides=[]) == "a.yaml"
    assert (
        config_name(Path("a.yaml"), overrides=["seed=1", "x=2"]) == "a.yaml with --set seed=1 x=2"
    )
    of_snakemake = config_name("a.yaml", "b.yaml", overrides={"seed": 1}, option="--config")
    assert of_snakemake == "a.yaml and b.yaml with --config seed"
