"""Metrics, per-class metrics and tracking counts against the published implementation's (golden
kind `evaluation`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.evaluated import evaluate_in_detail
from tests.parity.golden import Case, cases
from tests.parity.measure import Measure, demand, wrong
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.value_files import read_json
from vatrack.config import EvaluationConfig
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.evaluation.joining import Evaluation
from vatrack.evaluation.mot.measures import track_metrics_by_class

TOLERANCE = 1e-6  # percentage points
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
COUNTS = ("FN", "FP", "IDs", "MT", "ML")

Pair = tuple[float | None, float | None]


@pytest.mark.parametrize("case", cases("evaluation"))
def test_figures(case: Case, tmp_path: Path) -> None:
    # One box of this case is narrower than nothing.
    negative = pytest.warns(UserWarning, match="1 of 171 have a slightly negative width")
    with negative if case.folder.name == "real_hard_amodaltrack" else nullcontext():
        demand(measure(case, tmp_path))


def measure(case: Case, folder: Path) -> list[Measure]:
    """Compares every metric that the case has. `folder` takes the files that evaluation writes."""
    measures = _metrics(case, folder)
    detail = evaluate_in_detail(_inputs(case), folder)
    if case.path("per_class.json").exists():
        measures += _classes(case, detail)
    if case.path("track.json").exists():
        measures += _tracking(case, detail)
    return measures


def _metrics(case: Case, folder: Path) -> list[Measure]:
    """The flat metrics, with a per-video ground truth derived from the frame-level one, and as the
    case gives it."""
    expected = case.json("metrics.json")
    given: dict[MaskType, Path | None] = {}
    for mask_type in MASK_TYPES:
        path = case.path(f"video_ground_truth_{mask_type}.json.gz")
        given[mask_type] = path if path.exists() else None
    measures: list[Measure] = []
    pairs: dict[str, list[Pair]] = {key: [] for key in expected}
    for number, files in enumerate(({}, given)):
        out = folder / f"{number}.json"
        evaluate_inputs(_inputs(case, files), out)
        metrics = read_json(out)
        measures.append(
            wrong(
                "mask types",
                {_kind_of(key) for key in metrics} - {"hidden"},
                {_kind_of(key) for key in expected},
            )
        )
        for key, value in expected.items():
            pairs[key].append((metrics[key], value))
    return measures + [_points(key, values) for key, values in pairs.items()]


def _classes(case: Case, detail: Evaluation) -> list[Measure]:
    measures = []
    for level, classes in case.json("per_class.json").items():
        ours = {str(category): values for category, values in detail.per_class[level].items()}
        measures.append(wrong(f"{level} by class: which", set(ours), set(classes)))
        for name in dict.fromkeys(name for values in classes.values() for name in values):
            pairs = [
                (ours.get(label, {}).get(name), values[name])
                for label, values in classes.items()
                if name in values
            ]
            measures.append(_points(f"{level}/{name} by class", pairs))
    return measures


def _tracking(case: Case, detail: Evaluation) -> list[Measure]:
    expected = case.json("track.json")
    measures = [
        wrong(
            "mask_types of tracks",
            {mask_type.removesuffix("_box") for mask_type in detail.tracking},
            set(expected),
        )
    ]
    for mask_type, tables in expected.items():
        counts, rows = detail.tracking[mask_type], tables["rows"]
        ours = [[getattr(row, name) for name in EXACT.values()] for row in counts]
        measures.append(
            wrong(
                f"track/{mask_type} counts by class and video",
                ours,
                [[row[name] for name in EXACT] for row in rows],
            )
        )
        distances = [100 * row.distance / row.matches if row.matches else None for row in counts]
        theirs = [None if row["motp"] is None else 100 * row["motp"] for row in rows]
        if len(distances) == len(theirs):  # else the counts differ
            measures.append(
                _points(
                    f"track/{mask_type}/MOTP by class and video",
                    zip(distances, theirs, strict=True),
                )
            )
        by_class = {
            str(category): values for category, values in track_metrics_by_class(counts).items()
        }
        measures += _tracking_by_class(mask_type, by_class, tables["per_class"])
    return measures


def _tracking_by_class(
    mask_type: str, ours: dict[str, Any], theirs: dict[str, Any]
) -> list[Measure]:
    labels = [label for label in ours if label in theirs]
    measures = [
        wrong(
            f"track/{mask_type} by class: which",
            [label for label in ours if label not in theirs],
            [],
        )
    ]
    counts = [
        [[values[label][name] for name in COUNTS] for label in labels] for values in (ours, theirs)
    ]
    measures.append(wrong(f"track/{mask_type} counts by class", *counts))
    distance = {label: theirs[label]["MOTP_distance"] for label in labels}
    motp = [
        (ours[label]["MOTP"], None if distance[label] is None else 100 * (1 - distance[label]))
        for label in labels
    ]
    measures.append(_points(f"track/{mask_type}/MOTP by class", motp))
    for name in ("MOTA", "IDF1"):
        pairs = [(ours[label][name], theirs[label][name]) for label in labels]
        measures.append(_points(f"track/{mask_type}/{name} by class", pairs))
    return measures


def _points(quantity: str, pairs: Iterable[Pair]) -> Measure:
    """The largest difference of metrics in percent; infinite where only one of two is undefined."""
    return Measure(
        quantity,
        "percentage points",
        max((_difference(*pair) for pair in pairs), default=0.0),
        TOLERANCE,
    )


def _difference(ours: float | None, theirs: float | None) -> float:
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else float("inf")
    return abs(ours - theirs)


def _kind_of(key: str) -> str:
    """The mask type; the metrics of boxes are not in the goldens."""
    return key.split("/")[1].removesuffix("_box")


def _settings(case: Case) -> EvaluationConfig:
    limit = case.parameters.get("max_tracks_video", 100)
    return EvaluationConfig(legacy_gt_id0=case.info.get("legacy_gt_id0", False), max_tracks=limit)


def _inputs(case: Case, video: Mapping[MaskType, Path | None] | None = None) -> EvaluationInputs:
    truth, found = case.path("ground_truth.json.gz"), case.path("predictions.jsonl.gz")
    return EvaluationInputs(truth, found, video or {}, _settings(case))
