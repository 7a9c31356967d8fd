"""The JSON of docs/formats.md, findings.md and own-data.md is JSON, and what reads such a file
takes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import vatrack
from vatrack.common.mask_types import MaskType
from vatrack.config import Method
from vatrack.config.dataset import DatasetConfig
from vatrack.data.joint.file import read_joint
from vatrack.data.joint.prepare import prepare_joint
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.reporting.details import check_details, read_details
from vatrack.runs.metrics_file import read_metrics
from vatrack.runs.metrics_log import read_metrics_log
from vatrack.sailvos.structure import read_structure
from vatrack.validate.findings import Findings

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^ *```json\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def examples(page: str) -> list[str]:
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


PAGES = sorted(page.name for page in DOCS.glob("*.md") if examples(page.name))
# Those of formats.md, in its order.
NAMES = ("joint", "tracks", "predictions", "metrics", "details", "log", "best", "structure")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A file of each example of formats.md."""
    found = {name: tmp_path / f"{name}.json" for name in NAMES}
    for path, text in zip(found.values(), examples("formats.md"), strict=True):
        path.write_text(text, encoding="utf-8")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_example_is_json(page: str) -> None:
    for text in examples(page):
        assert isinstance(json.loads(text), dict), text


def test_the_annotations_are_read(files: dict[str, Path], tmp_path: Path) -> None:
    read_joint(files["joint"])
    (minimal,) = examples("own-data.md")
    own = tmp_path / "own.json"
    own.write_text(minimal, encoding="utf-8")
    read_joint(own)


def test_the_prediction_is_that_of_the_first_frame(files: dict[str, Path], tmp_path: Path) -> None:
    assert len(list(vatrack.read_predictions(files["predictions"]))) == 1
    (tmp_path / "a").mkdir()
    for name in ("000", "001"):
        cv2.imwrite(str(tmp_path / f"a/{name}.jpg"), np.zeros((96, 128, 3), np.uint8))
    dataset = DatasetConfig.model_validate(
        {
            "format": "joint",
            "classes": "data",
            "train_json": files["joint"],
            "valid_json": files["joint"],
            "images": tmp_path,
        }
    )
    prepare_joint(files["joint"], tmp_path, dataset, tmp_path / "valid", [Method.VATRACK])
    truth, out = tmp_path / "valid/joint.json", tmp_path / "out.json"
    tracks: dict[MaskType, Path | None] = {"amodal": files["tracks"]}
    evaluate_inputs(EvaluationInputs(truth, files["predictions"], tracks), out)
    found = read_metrics(out, "make it again")
    # One object of two: 51 of the 101 levels of recall are reached.
    assert found["image/visible/AP"] == found["image/amodal/AP"] == pytest.approx(100 * 51 / 101)
    # The given tracks have the first frame alone.
    assert found["video/amodal/AP"] == pytest.approx(100)


def test_metrics_and_details_are_read(files: dict[str, Path]) -> None:
    metrics = read_metrics(files["metrics"], "make it again")
    assert metrics["image/amodal/AP50_H"] is None and len(metrics) == 4
    check_details(read_details(files["details"]), files["details"], metrics, files["metrics"])


def test_the_log_is_read(files: dict[str, Path]) -> None:
    log = read_metrics_log(files["log"])
    assert (len(log.training), log.problems) == (1, [])


def test_the_cuts_are_read(files: dict[str, Path]) -> None:
    assert list(read_structure(files["structure"])) == ["ah_1_ext__12", "ah_1_ext__13"]


def test_the_finding_is_one() -> None:
    (text,) = examples("findings.md")
    shown: dict[str, Any] = json.loads(text)
    findings = Findings()
    (example,) = shown["examples"]
    for _ in range(shown["count"]):
        findings.add(shown["code"], example["file"], example["item"], example["detail"])
    (reported,) = findings.report()
    assert {**reported, "examples": shown["examples"]} == shown
    assert reported["examples"][0] == example
