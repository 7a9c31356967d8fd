"""Small ground truths with predictions, and what is in their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.evaluation.scenes import (
    add_object,
    detection,
    document,
    rectangle,
    write_scene,
)
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs


def write(
    folder: Path, joint: dict[str, Any], predictions: list[dict[str, Any]]
) -> tuple[Path, Path]:
    files = write_scene(folder, joint, predictions)
    return files["ground_truth"], files["predictions"]


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def metrics(truth: Path, predictions: Path, out: Path) -> dict[str, float]:
    evaluate_inputs(EvaluationInputs(truth, predictions), out)
    return json.loads(out.read_text())


def overlapping(tmp_path: Path) -> tuple[Path, Path]:
    joint = document([2])
    predictions = []
    for image in (1, 2):
        add_object(joint, image, 1, 1, rectangle(0, 0, 40, 40))
        add_object(joint, image, 3, 2, rectangle(60, 0, 40, 40))
        predictions += [
            detection(image, 1, 0.4, 1, rectangle(0, 0, 40, 40), rectangle(0, 0, 40, 40)),
            detection(image, 3, 0.9, 2, rectangle(30, 0, 70, 40), rectangle(30, 0, 70, 40)),
            detection(image, 3, 0.2, 3, rectangle(50, 5, 9, 9), rectangle(50, 5, 9, 9)),
        ]
    return write(tmp_path, joint, predictions)
