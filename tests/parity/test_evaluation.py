"""Metrics, per-class figures and tracking counts against the published implementation's (golden kind `evaluation`)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden import Case, cases
from vatrack.config import EvaluationConfig
from vatrack.evaluation.evaluate import Evaluation, evaluate_files, evaluate_in_detail
from vatrack.evaluation.mot import track_figures_by_class
from vatrack.files import open_text, read_json

TOLERANCE = 1e-6  # percent points
EXACT = {
    "category_id": "category",
    "video_id": "video",
    "num_objects": "objects",
    "num_predictions": "predictions",
    "num_detections": "matches",
    "num_misses": "misses",
    "num_false_positives": "false_positives",
    "num_switches": "switches",
    "mostly_tracked": "mostly_tracked",
    "mostly_lost": "mostly_lost",
    "idtp": "idtp",
}


def close(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=0, abs=TOLERANCE)


def kind_of(key: str) -> str:
    """The kind of mask; the figures of boxes are not in the goldens."""
    return key.split("/")[1].removesuffix("_box")


def settings(case: Case) -> EvaluationConfig:
    limit = case.parameters.get("max_tracks_video", 100)
    return EvaluationConfig(legacy_gt_id0=case.info.get("legacy_gt_id0", False), max_tracks=limit)


@pytest.mark.parametrize("case", cases("evaluation"))
def test_metrics(case: Case, tmp_path: Path) -> None:
    expected = case.json("metrics.json")
    video = {kind: case.path(f"video_ground_truth_{kind}.json.gz") for kind in ("amodal", "visible")}
    given = {kind: path if path.exists() else None for kind, path in video.items()}
    for number, files in enumerate(({}, given)):  # derived from the frame-level file, and as given
        out = tmp_path / f"{number}.json"
        evaluate_files(case.path("ground_truth.json.gz"), case.path("predictions.jsonl.gz"), files, settings(case), out)
        metrics = read_json(out)
        assert {kind_of(key) for key in metrics} == {kind_of(key) for key in expected}
        assert {key: metrics[key] for key in expected} == {key: close(value) for key, value in expected.items()}


def in_detail(case: Case) -> Evaluation:
    with open_text(case.path("predictions.jsonl.gz")) as stream:
        return evaluate_in_detail(case.json("ground_truth.json.gz"), map(json.loads, stream), None, settings(case))


@pytest.mark.parametrize("case", cases("evaluation"))
def test_classes(case: Case) -> None:
    if not case.path("per_class.json").exists():
        pytest.skip("the case has no per_class.json")
    detail = in_detail(case)
    for level, classes in case.json("per_class.json").items():
        ours = {str(category): figures for category, figures in detail.per_class[level].items()}
        assert set(ours) == set(classes)
        for category, figures in classes.items():
            assert {k: ours[category][k] for k in figures} == {k: close(v) for k, v in figures.items()}


@pytest.mark.parametrize("case", cases("evaluation"))
def test_tracking(case: Case) -> None:
    if not case.path("track.json").exists():
        pytest.skip("the case has no track.json")
    detail = in_detail(case)
    expected = case.json("track.json")
    assert {kind.removesuffix("_box") for kind in detail.tracking} == set(expected)
    for kind, tables in expected.items():
        counts = detail.tracking[kind]
        assert [[getattr(row, name) for name in EXACT.values()] for row in counts] == [
            [row[name] for name in EXACT] for row in tables["rows"]
        ]
        distances = [row.distance / row.matches if row.matches else None for row in counts]
        assert distances == [close(row["motp"]) for row in tables["rows"]]
        for category, figures in track_figures_by_class(counts).items():
            theirs = tables["per_class"][str(category)]
            distance = theirs["MOTP_distance"]
            assert figures["MOTP"] == close(None if distance is None else 100 * (1 - distance))
            for name in ("MOTA", "IDF1"):
                assert figures[name] == close(theirs[name])
            for name in ("FN", "FP", "IDs", "MT", "ML"):
                assert figures[name] == theirs[name]
