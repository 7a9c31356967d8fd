"""Clips to predictions: detect, track, segment (spec 5; contract 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as rle_tools
from torch import Tensor

from vatrack.common.device import autocast
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.progress import progress
from vatrack.config import InferenceConfig, RunConfig
from vatrack.data.dataset import FrameDataset, InputFrame
from vatrack.data.frames import Frame
from vatrack.data.loading import load_in_order
from vatrack.data.transforms import network_input
from vatrack.inference.paste import paste
from vatrack.inference.tracker import QuasiDenseTracker
from vatrack.models.detector import Detector
from vatrack.models.roi_heads import Detections


class ClipPredictor:
    """Runs a network and a tracker over the frames of one clip, in order.

    Args:
        model: in evaluation mode, on `device`.
        precision: `compute.precision`. It concerns the network alone: boxes, scores, embeddings and
            mask probabilities leave it as float32, and tracking is computed in float32.
    """

    def __init__(
        self,
        model: Detector,
        settings: InferenceConfig,
        device: torch.device,
        precision: str = "float32",
    ) -> None:
        self.model, self.settings, self.device = model, settings, device
        self.precision = precision
        self.tracker = QuasiDenseTracker(settings.tracker)

    @torch.inference_mode()
    def step(
        self, image: Tensor, size: tuple[int, int], scale: Tensor, frame: int
    ) -> tuple[Detections, Tensor] | None:
        """Tracked detections of one frame with mask probabilities, and their track ids; None where
        nothing was found.

        Args:
            image: (1, 3, H, W), see `network_input`; `size`: height and width without padding;
                `scale`: (4,) network per original pixel.
            frame: number of the frame in its clip.
        """
        scale = scale.to(self.device)
        with autocast(self.precision, self.device):
            detections, features = self.model.detect(
                network_input(image, [size], self.device), size, scale, self.settings
            )
        if len(detections.scores) == 0:
            return None
        boxes = detections.boxes[self.model.roi_head.layout.primary]
        tracked = self.tracker.update(
            boxes, detections.scores, detections.labels, detections.embeddings, frame
        )
        rows = tracked.rows[(tracked.ids >= 0).to(tracked.rows.device)]
        # Only what the tracker keeps is segmented; the masks play no part in tracking.
        with autocast(self.precision, self.device):
            segmented = self.model.add_masks(features, detections.select(rows), scale)
        return segmented, tracked.ids[tracked.ids >= 0]


def to_predictions(
    model: Detector, detections: Detections, ids: Tensor, frame: Frame, threshold: float
) -> Iterator[dict[str, Any]]:
    """One prediction per row in the form of contract 2."""
    bitmaps = {
        mask_type: paste(
            masks,
            detections.boxes[model.roi_head.mask_box_type(mask_type)],
            (frame.height, frame.width),
            threshold,
        )
        for mask_type, masks in detections.masks.items()
    }
    primary, *others = [_xywh(boxes) for boxes in detections.boxes.values()]
    scores, labels = detections.scores.tolist(), detections.labels.tolist()
    for row, track in enumerate(ids.tolist()):
        prediction: dict[str, Any] = {
            "image_id": frame.image_id,
            "category_id": labels[row] + 1,
            "score": scores[row],
            "bbox": primary[row],
            "track_id": track,
        }
        if others:
            prediction["bbox_visible"] = others[0][row]
        for mask_type in MASK_TYPES:
            prediction[mask_type] = _rle(bitmaps[mask_type][row]) if mask_type in bitmaps else None
        yield prediction


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
    loaded = load_in_order(dataset.__getitem__, range(len(frames)), run.compute)
    training = model.training
    model.eval()
    predictor = ClipPredictor(model, run.inference, device, run.compute.precision)
    try:
        inputs: Iterable[InputFrame] = progress(loaded, title, len(frames))
        for item, (frame, position) in zip(inputs, frames, strict=True):
            if position == 0:
                predictor = ClipPredictor(model, run.inference, device, run.compute.precision)
            result = predictor.step(item.image, item.size, item.scale, position)
            if result is not None:
                yield from to_predictions(model, *result, frame, run.inference.mask_threshold)
    finally:
        model.train(training)
