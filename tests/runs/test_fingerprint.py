from pathlib import Path
from typing import Any

import pytest

from vatrack.config import SAILVOS, Backbone, Config, Method, RunConfig, parse_config
from vatrack.runs.fingerprint import comparison, config_hash


def config(
    method: Method = Method.VATRACK, backbone: Backbone = Backbone.RESNET18, **values: Any
) -> RunConfig:
    return parse_config(values, "test", Config).for_run(method, backbone)


def test_the_four_methods_share_one_comparison() -> None:
    runs = [config(method) for method in Method]
    assert len({config_hash(run) for run in runs}) == 4
    (shared,) = {comparison(run) for run in runs}
    assert shared.startswith("mini-resnet18-")
    assert comparison(config(seed=3)) == shared
    assert config_hash(config(seed=3)) != config_hash(config())


@pytest.mark.parametrize(
    "values",
    [
        {"training": {"epochs": 3}},
        {"training": {"weights": "/a/other.pth"}},
        {"inference": {"max_detections": 7}},
        {"dataset": {"name": "other"}},
        {"dataset": {"max_occlusion": 0.5}},
    ],
)
def test_settings_part_comparisons(values: dict[str, Any]) -> None:
    assert config_hash(config(**values)) != config_hash(config())
    assert comparison(config(**values)) != comparison(config())


def test_machines_do_not() -> None:
    here = config(
        results="here",
        dataset={
            "raw": "/data/raw",
            "train_json": "/data/t.json",
            "clips": {"structure": "/data/cuts.json", "mode": "symlink"},
        },
        compute={"workers": 0, "device": "cpu"},
        training={"weights": "/data/start.pth"},
        launcher={"cluster": "slurm", "gpus": 4},
    )
    there = config(
        results="there",
        dataset={
            "raw": "/scratch/raw",
            "valid_json": "/scratch/v.json",
            "clips": {"structure": "/scratch/cuts.json"},
        },
        compute={"workers": 9},
        training={"log_every": 1, "weights": {"resnet18": "/scratch/start.pth"}},
        mlflow={"tracking_uri": "http://me:secret@host"},
    )
    assert config_hash(here) == config_hash(there)
    assert comparison(here) == comparison(there)


def test_backbones_are_compared_apart() -> None:
    assert comparison(config(backbone=Backbone.RESNET50)) != comparison(config())


def test_a_config_that_was_written_has_the_same_fingerprint(tmp_path: Path) -> None:
    from vatrack.common.files import write_yaml
    from vatrack.config import load_run_config

    write_yaml(tmp_path / "config.yaml", config().model_dump(mode="json"))
    assert config_hash(load_run_config(tmp_path / "config.yaml")) == config_hash(config())


def test_classes_count_by_their_names() -> None:
    same = [config(dataset={"classes": classes}) for classes in ("sailvos", list(SAILVOS.names))]
    assert config_hash(same[0]) == config_hash(same[1])
    first, second = (config(dataset={"classes": names}) for names in (["a", "b"], ["b", "a"]))
    assert len({config_hash(run) for run in (*same, first, second)}) == 3
    data = config(dataset={"classes": "data"})
    assert config_hash(data.with_classes(first.class_list)) == config_hash(first)
