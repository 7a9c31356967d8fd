"""Evaluation and predictions for Python users."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from numbers import Integral
from pathlib import Path
from typing import Any

from vatrack.common.arguments import as_path, check_type
from vatrack.config import EvaluationConfig
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.evaluation.io.prediction_file import PredictionError, open_predictions
from vatrack.evaluation.io.prediction_form import prediction_problem
from vatrack.runs.results import file_of_run, masks_of_run


def evaluate(
    ground_truth: str | Path,
    predictions: str | Path,
    *,
    settings: EvaluationConfig | None = None,
    processes: int = 1,
) -> dict[str, float | None]:
    """The metrics of predictions as a flat mapping, in percent (contract 4).

    Args:
        ground_truth: a joint JSON (contract 3), may be gzipped.
        predictions: JSON Lines or a JSON array (contract 2), may be gzipped, or a run's folder.
        settings: section `evaluation` of a config; None: that of the paper's tables.
        processes: number of worker processes; the metrics are the same for any number.

    Returns:
        Values by names such as "video/amodal/AP50"; None where a metric is undefined.

    Raises:
        InputError: a file is missing or damaged, or the files do not belong together.

    Example:
        ```python
        metrics = vatrack.evaluate("joint.json", "predictions.jsonl.gz")
        print(metrics["image/amodal/AP50"], metrics["track/visible/HOTA"])
        ```
    """
    truth, found = as_path("ground_truth", ground_truth), as_path("predictions", predictions)
    check_type("processes", processes, Integral)
    if settings is not None:
        check_type("settings", settings, EvaluationConfig)
    with tempfile.TemporaryDirectory(prefix="vatrack-") as folder:
        out = Path(folder) / "metrics.json"
        inputs = EvaluationInputs(
            truth,
            file_of_run(found, "predictions"),
            switches=settings or EvaluationConfig(),
            masks=masks_of_run(found),
        )
        evaluate_inputs(inputs, out, int(processes))
        metrics: dict[str, float | None] = json.loads(out.read_text(encoding="utf-8"))
        return metrics


def read_predictions(path: str | Path) -> Iterator[dict[str, Any]]:
    """The predictions of a file (contract 2) or of a run's folder, one by one.

    Raises:
        InputError: the file is missing, or something in it is not a prediction.

    Example:
        ```python
        for prediction in vatrack.read_predictions("predictions.jsonl.gz"):
            print(prediction["image_id"], prediction["track_id"], prediction["score"])
        ```
    """
    with open_predictions(file_of_run(as_path("path", path), "predictions")) as items:
        for item in items:
            if problem := prediction_problem(item.value):
                raise PredictionError(items.label, item.number, problem)
            yield item.value
