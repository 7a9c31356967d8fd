"""Evaluations of scenes in memory, by way of files as `vatrack evaluate` does them."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vatrack.common.mask_types import MaskType
from vatrack.config import EvaluationConfig
from vatrack.evaluation.ap.precision import Metrics
from vatrack.evaluation.file_set import EvaluationInputs, open_files
from vatrack.evaluation.joining import Evaluation, join_results


def evaluate_in_detail(inputs: EvaluationInputs, folder: Path) -> Evaluation:
    """What `evaluate_inputs` writes, before it is written; `folder` takes unpacked files."""
    with open_files(inputs, folder / "metrics.json") as files:
        return join_results(files.measure(1), files.protocol)


def evaluate_scene(
    joint: Mapping[str, Any],
    predictions: Iterable[Mapping[str, Any]],
    video: Mapping[MaskType, Mapping[str, Any]] | None = None,
    switches: EvaluationConfig | None = None,
) -> Evaluation:
    """Evaluates predictions; `video` is a per-video ground truth by mask type."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* contains no (predictions|annotations)")
        folder = Path(name)
        truth, found = folder / "joint.json", folder / "predictions.jsonl"
        truth.write_text(json.dumps(joint))
        found.write_text("".join(json.dumps(one) + "\n" for one in predictions))
        given: dict[MaskType, Path | None] = {}
        for mask_type, tracks in (video or {}).items():
            given[mask_type] = path = folder / f"{mask_type}.json"
            path.write_text(json.dumps(tracks))
        settings = switches or EvaluationConfig()
        return evaluate_in_detail(EvaluationInputs(truth, found, given, settings), folder)


def metrics_of(*scene: Any) -> Metrics:
    """The flat metrics of the same."""
    return evaluate_scene(*scene).metrics
