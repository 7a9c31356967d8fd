"""Labelled runs and seeds beside an earlier run, with the real stages."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.workflow.conftest import IN_PLACE
from tests.workflow.snake import Workflow

pytestmark = pytest.mark.usefixtures("served")

TABLES = "results/tiny/tables/tables.html"
RUN_STAGES = ["train", "select", "predict", "evaluate", "overlay", "views"]
SHOWING = ["tables", "figures", "provenance", "report"]


def test_a_label_plans_a_run_of_its_own(finished: Workflow) -> None:
    assert finished.changed(run_label="e6").plan() == dict.fromkeys(RUN_STAGES + SHOWING, 1)
    seeds = finished.changed(run_label="e6", seeds=[0, 1]).plan()
    assert seeds == dict.fromkeys(RUN_STAGES, 2) | dict.fromkeys(SHOWING, 1)


def test_seeds_stand_beside_the_earlier_run(finished: Workflow, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    again = Workflow(tmp_path / "copy", finished.config)
    seeds = again.changed(seeds=[0, 1], launcher=IN_PLACE)
    done = seeds.run(TABLES)
    assert done == dict.fromkeys(["train", "select", "predict", "evaluate"], 2) | {"tables": 1}
    assert seeds.plan(TABLES) == {}
    with (seeds.results / "tables/image_amodal.csv").open() as file:
        rows = [(row["label"], row["source"]) for row in csv.DictReader(file)]
    assert [row for row in rows if row[1] != "published"] == [
        ("", "this run"),
        ("seed0", "this run"),
        ("seed1", "this run"),
        ("", "mean of 2 seeds"),
        ("", "standard deviation of 2 seeds"),
    ]
    with closing(sqlite3.connect(again.folder / "results/mlflow.db")) as store:
        labels = store.execute("SELECT value FROM tags WHERE key = 'run_label' ORDER BY value")
        assert [value for (value,) in labels] == ["seed0", "seed1"]
    # Back to the first config: its run is there, and the tables go on showing the others.
    again.run(TABLES)
    assert again.plan(TABLES) == {}
    with (again.results / "tables/image_amodal.csv").open() as file:
        assert {"seed0", "seed1"} <= {row["label"] for row in csv.DictReader(file)}
    # A run that came from elsewhere is shown with the next tables, and makes nothing run again.
    runs = again.results / "runs"
    shutil.copytree(runs / "vatrack__resnet18", runs / "vatrack__resnet18__copied")
    assert again.plan(TABLES) == {}
    assert again.changed(mean_rows=False).plan(TABLES)["tables"] == 1
