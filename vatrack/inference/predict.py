"""Files of predictions with a checkpoint (contract 2)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.device import allow_tf32, choose_device
from vatrack.common.errors import InputError
from vatrack.common.files import (
    atomic_path,
    check_target,
    create_text,
    refuse_same_file,
    write_yaml,
)
from vatrack.config import RunConfig
from vatrack.config.inference import SETTINGS_FILE
from vatrack.data.frames import AnnotationFile
from vatrack.inference.predictor import predict_clips
from vatrack.models.detector import build
from vatrack.weights.checkpoint import load, restore


def write_predictions(predictions: Iterable[dict[str, Any]], out: Path) -> int:
    """Writes JSON Lines (gzip by name), whole or not at all; returns the number of lines."""
    count = 0
    with atomic_path(out) as temporary, create_text(temporary) as stream:
        for prediction in predictions:
            stream.write(json.dumps(prediction, allow_nan=False) + "\n")
            count += 1
    return count


@dataclass(frozen=True)
class Predicted:
    """What `predict_files` wrote."""

    out: Path
    predictions: int
    frames: int
    clips: int

    def __str__(self) -> str:
        return (
            f"{self.out}: {self.predictions} predictions for {self.frames} frames of "
            f"{self.clips} clips"
        )


def predict_files(
    run: RunConfig, checkpoint: Path, ground_truth: Path, images: Path, out: Path
) -> Predicted:
    """Predicts all clips of an annotation file with a checkpoint of this run's method.

    The settings that predictions depend on are left beside them, in inference.yaml (`inference`,
    `input`, and `precision`, `tf32` and `winograd` of `compute`, as in a config file): they may be
    newer than those of the training.

    Raises:
        InputError: `images` is no folder, a frame or the checkpoint is bad, or `out` or
            inference.yaml cannot be written, or is read.
    """
    settings = out.with_name(SETTINGS_FILE)
    for source in (checkpoint, ground_truth):
        for target in (out, settings):
            refuse_same_file(source, target)
    device = choose_device(run.compute.device)
    allow_tf32(run.compute.tf32)
    check_target(out)
    if not images.is_dir():
        raise InputError(
            f"{images}: no such folder; the clips of {ground_truth} are needed there (`vatrack "
            f"clips`)"
        )
    model = build(run.method, run.model, run.backbone)
    restore(model, load(checkpoint), run, checkpoint)
    model.to(device)
    clips = AnnotationFile(ground_truth).clips
    count = write_predictions(predict_clips(model, run, clips, images, device, "predict"), out)
    used = run.model_dump(
        mode="json",
        include={"inference": True, "input": True, "compute": {"precision", "tf32", "winograd"}},
    )
    write_yaml(settings, used)
    return Predicted(out, count, sum(map(len, clips)), len(clips))
