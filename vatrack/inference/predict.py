"""Clips to predictions: detect, track, segment, write JSON Lines (spec 5; design contract 2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as rle_tools
from torch import Tensor
from torch.utils.data import DataLoader

from vatrack.common.device import allow_tf32, autocast, choose_device
from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path, check_target, create_text, write_yaml
from vatrack.common.progress import progress
from vatrack.common.signals import ignore_stop_signals
from vatrack.config import InferenceConfig, RunConfig
from vatrack.data.dataset import FrameDataset, InputFrame
from vatrack.data.frames import AnnotationFile, Frame
from vatrack.inference.paste import paste
from vatrack.inference.tracker import QuasiDenseTracker
from vatrack.models.detector import Detector, build
from vatrack.models.roi_heads import Detections
from vatrack.weights.checkpoint import load, restore


class ClipPredictor:
    """Runs a network and a tracker over the frames of one clip, in order."""

    def __init__(self, model: Detector, settings: InferenceConfig, device: torch.device) -> None:
        self.model, self.settings, self.device = model, settings, device
        self.tracker = QuasiDenseTracker(settings.tracker)

    @torch.inference_mode()
    def step(
        self, image: Tensor, size: tuple[int, int], scale: Tensor, frame: int
    ) -> tuple[Detections, Tensor] | None:
        """Tracked detections of one frame with mask probabilities, and their track ids; None where
        nothing was found.

        Args:
            image: (1, 3, H, W); `size`: height and width without padding; `scale`: (4,) network per
                original pixel.
            frame: number of the frame in its clip.
        """
        scale = scale.to(self.device)
        detections, features = self.model.detect(image.to(self.device), size, scale, self.settings)
        if len(detections.scores) == 0:
            return None
        boxes = detections.boxes[self.model.roi_head.layout.primary]
        tracked = self.tracker.update(
            boxes, detections.scores, detections.labels, detections.embeddings, frame
        )
        rows = tracked.rows[(tracked.ids >= 0).to(tracked.rows.device)]
        # Only what the tracker keeps is segmented; the masks play no part in tracking.
        return self.model.add_masks(features, detections.select(rows), scale), tracked.ids[
            tracked.ids >= 0
        ]


def records(
    model: Detector, detections: Detections, ids: Tensor, frame: Frame, threshold: float
) -> Iterator[dict[str, Any]]:
    """One prediction per row in the form of contract 2."""
    bitmaps = {
        kind: paste(
            masks,
            detections.boxes[model.roi_head.mask_box_kind(kind)],
            (frame.height, frame.width),
            threshold,
        )
        for kind, masks in detections.masks.items()
    }
    primary, *others = [_xywh(boxes) for boxes in detections.boxes.values()]
    scores, labels = detections.scores.tolist(), detections.labels.tolist()
    for row, track in enumerate(ids.tolist()):
        record: dict[str, Any] = {
            "image_id": frame.image_id,
            "category_id": labels[row] + 1,
            "score": scores[row],
            "bbox": primary[row],
            "track_id": track,
        }
        if others:
            record["bbox_visible"] = others[0][row]
        for kind in ("amodal", "visible"):
            record[kind] = _rle(bitmaps[kind][row]) if kind in bitmaps else None
        yield record


def _xywh(boxes: Tensor) -> list[list[float]]:
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()


def _rle(bitmap: np.ndarray) -> dict[str, Any]:
    encoded = rle_tools.encode(np.asfortranarray(bitmap, dtype=np.uint8))
    return {
        "size": [int(side) for side in encoded["size"]],
        "counts": encoded["counts"].decode("ascii"),
    }


def predict_clips(
    model: Detector,
    run: RunConfig,
    clips: Iterable[list[Frame]],
    images: Path,
    device: torch.device,
    title: str,
) -> Iterator[dict[str, Any]]:
    """Predictions for all frames of the clips, in order; the network is used in evaluation mode."""
    frames = [(frame, position) for clip in clips for position, frame in enumerate(clip)]
    dataset = FrameDataset([frame for frame, _ in frames], images, run.input.image_scale)
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=run.compute.workers,
        worker_init_fn=ignore_stop_signals,
    )
    training = model.training
    model.eval()
    precision = autocast(run.compute.precision, device)
    predictor = ClipPredictor(model, run.inference, device)
    try:
        inputs: Iterable[InputFrame] = progress(loader, title, len(frames))
        for item, (frame, position) in zip(inputs, frames, strict=True):
            if position == 0:
                predictor = ClipPredictor(model, run.inference, device)
            with precision:
                result = predictor.step(item.image, item.size, item.scale, position)
            if result is not None:
                yield from records(model, *result, frame, run.inference.mask_threshold)
    finally:
        model.train(training)


def write_predictions(predictions: Iterable[dict[str, Any]], out: Path) -> int:
    """Writes JSON Lines (gzip by name), whole or not at all; returns the number of lines."""
    count = 0
    with atomic_path(out) as temporary, create_text(temporary) as stream:
        for prediction in predictions:
            stream.write(json.dumps(prediction, allow_nan=False) + "\n")
            count += 1
    return count


def predict_files(
    run: RunConfig, checkpoint: Path, ground_truth: Path, images: Path, out: Path
) -> str:
    """Predicts all clips of an annotation file with a checkpoint of this run's method.

    The settings are left beside the predictions, in inference.yaml: they may be newer than those of
    the training.

    Raises:
        InputError: `images` is no folder, a frame or the checkpoint is bad, or `out` cannot be
            written.
    """
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
    write_yaml(out.with_name("inference.yaml"), run.inference.model_dump(mode="json"))
    return f"{out}: {count} predictions for {sum(map(len, clips))} frames of {len(clips)} clips"
