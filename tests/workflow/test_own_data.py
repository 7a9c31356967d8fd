"""With own annotations the workflow begins at the annotations."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.own_data.own import write_own
from tests.workflow.snake import Workflow
from vatrack.validate.first_config import batch_size, init_config


def _workflow(tmp_path: Path) -> Workflow:
    own = write_own(tmp_path / "own", masks=("visible",))
    out = tmp_path / "config.yaml"
    init_config(own / "train.json", own / "valid.json", own / "frames", out, 0)
    return Workflow(tmp_path / "work", yaml.safe_load(out.read_text()))


def test_begins_at_the_annotations(tmp_path: Path) -> None:
    plan = _workflow(tmp_path).plan()
    assert plan["validate"] == 1
    assert plan["prepare"] == 2
    assert not {"synth", "unpack", "index", "cut_structure", "clips", "convert"} & plan.keys()
    assert {"train", "select", "predict", "evaluate", "tables", "report"} <= plan.keys()


@pytest.mark.parametrize(("memory", "expected"), [(40, 8), (20, 4), (2, 1), (80, 16)])
def test_batch_follows_memory(memory: float, expected: int) -> None:
    assert batch_size(memory, 1280 * 800) == expected


@pytest.mark.slow
def test_to_the_tables(tmp_path: Path) -> None:
    workflow = _workflow(tmp_path).changed(
        training={"epochs": 1, "schedule": {"steps": []}}, compute={"workers": 0}
    )
    workflow.run("results")
    assert (workflow.results / "tables" / "tables.html").is_file()
