"""Clips to predictions, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from vatrack.common.parallel import available_cores, ordered_map
from vatrack.common.progress import progress
from vatrack.config import RunConfig
from vatrack.data.frames import Frame
from vatrack.data.input_frames import FrameDataset, pinned
from vatrack.data.loading import load_in_order
from vatrack.inference.predictor import FramePredictor, TrackedFrame
from vatrack.models.detector import Detector
from vatrack.models.prepared import prepare

MOST_MASK_WORKERS = 8
CategoryIds = tuple[int | None, ...]


def predict_frames(
    model: Detector,
    run: RunConfig,
    clips: Iterable[list[Frame]],
    images: Path,
    device: torch.device,
    category_ids: CategoryIds | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Predictions of every frame of the clips, in order.

    Args:
        model: in evaluation mode, on `device`; a copy from `prepare` is the fastest.
        category_ids: the category id of each label, from `FileClasses.category_ids`; predictions
            of a label without one are left out. None: label + 1.
    """
    frames = [(number, frame) for clip in clips for number, frame in enumerate(clip)]
    dataset = FrameDataset([frame for _, frame in frames], images, run.input.image_scale)
    pin = pinned if device.type == "cuda" else None
    loaded = load_in_order(dataset.__getitem__, range(len(frames)), run.compute, pin=pin)
    inputs = ((number, item) for (number, _), item in zip(frames, loaded, strict=True))
    tracked = FramePredictor(model, run.inference, device, run.compute).track(inputs)
    workers, threshold = _mask_workers(run, device), run.inference.mask_threshold
    fewer = f"lower compute.mask_workers (now {workers}; 0: none)"
    found = ordered_map(_encode, tracked, workers, threshold, fewer)
    yield from (with_category_ids(predictions, category_ids) for predictions in found)


def predict_clips(
    model: Detector,
    run: RunConfig,
    clips: Iterable[list[Frame]],
    images: Path,
    device: torch.device,
    title: str,
    category_ids: CategoryIds | None = None,
) -> Iterator[dict[str, Any]]:
    """The same prediction by prediction, by a prepared copy of the network, with progress shown
    under a title."""
    clips = list(clips)
    network = prepare(model, run.compute, device)
    frames = predict_frames(network, run, clips, images, device, category_ids)
    for predictions in progress(frames, title, sum(map(len, clips))):
        yield from predictions


def with_category_ids(
    predictions: list[dict[str, Any]], category_ids: CategoryIds | None
) -> list[dict[str, Any]]:
    """Predictions whose `category_id` is label + 1, with the ids of a file instead."""
    if category_ids is None or category_ids == tuple(range(1, len(category_ids) + 1)):
        return predictions
    return [
        {**prediction, "category_id": number}
        for prediction in predictions
        if (number := category_ids[prediction["category_id"] - 1]) is not None
    ]


def _encode(tracked: TrackedFrame, threshold: float) -> list[dict[str, Any]]:
    return tracked.predictions(threshold)


def _mask_workers(run: RunConfig, device: torch.device) -> int:
    if run.compute.mask_workers != "auto":
        return run.compute.mask_workers
    # What draws masks is far slower than a GPU that makes them, but not than a CPU.
    return min(MOST_MASK_WORKERS, available_cores() // 2) if device.type == "cuda" else 0
