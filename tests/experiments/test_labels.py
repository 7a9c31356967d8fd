"""What MLflow has of a labelled run, and that all of them are in one store."""

from __future__ import annotations

from pathlib import Path

import pytest

from vatrack.config import Backbone, Config, Method
from vatrack.experiments.client import store_uri
from vatrack.experiments.content import params, tags


def test_the_label_is_a_tag_and_part_of_the_name(tmp_path: Path) -> None:
    plain, labelled = (
        Config(run_label=label).for_run(Method.VATRACK, Backbone.RESNET18) for label in ("", "e6")
    )
    assert labelled.name == "vatrack__resnet18__e6"
    known, found = tags(tmp_path, plain), tags(tmp_path, labelled)
    assert found.pop("mlflow.runColor") != known.pop("mlflow.runColor")
    assert found == known | {"run_label": "e6"}
    assert "run_label" not in known
    assert params(labelled) == params(plain)


def test_labels_seeds_and_datasets_share_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    stores = set()
    for dataset in ("mini", "mine"):
        config = Config(dataset={"name": dataset}, seeds=(0, 1), run_label="e6")
        for run in config.runs():
            folder = tmp_path / "results" / dataset / "runs" / run.name
            folder.mkdir(parents=True)
            stores.add(store_uri(folder, run))
    assert stores == {f"sqlite:///{tmp_path}/results/mlflow.db"}
