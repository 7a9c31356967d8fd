"""Plain ways of what the package does faster: frames, masks and their codes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn.functional import grid_sample, pad
from torchvision.ops import roi_align

from vatrack.common.images import read_image
from vatrack.common.mask_types import MASK_TYPES
from vatrack.data.frames import Frame
from vatrack.models.detector import Detector
from vatrack.models.roi_heads import Detections


def aligned(features: Tensor, regions: Tensor, size: int, scale: float) -> Tensor:
    """RoIAlign of one level with torchvision's gradient."""
    return roi_align(features, regions, size, scale, 0, aligned=True)


def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float) -> np.ndarray:
    """Bitmaps (n, H, W): every pixel of the frame is sampled for every mask."""
    height, width = size
    columns = torch.arange(width, device=masks.device) + 0.5
    rows = torch.arange(height, device=masks.device) + 0.5
    bitmaps = []
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.tolist(), strict=True):
        x = ((columns - x1) / ((x2 - x1) or math.nan) * 2 - 1).nan_to_num(0.0, 0.0, 0.0)
        y = ((rows - y1) / ((y2 - y1) or math.nan) * 2 - 1).nan_to_num(0.0, 0.0, 0.0)
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
        sampled = grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
        bitmaps.append((sampled >= threshold).cpu().numpy())
    return np.stack(bitmaps) if bitmaps else np.zeros((0, height, width), bool)


def encode(bitmap: np.ndarray) -> dict[str, Any]:
    """The run-length code of a bitmap (H, W)."""
    code = coco_mask.encode(np.asfortranarray(bitmap, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode()}


def to_lines(
    model: Detector, detections: Detections, ids: Tensor, frame: Frame, threshold: float
) -> Iterator[dict[str, Any]]:
    """The predictions of a frame (contract 2)."""
    size = frame.height, frame.width
    bitmaps = {
        mask_type: paste(
            masks, detections.boxes[model.roi_head.mask_box_type(mask_type)], size, threshold
        )
        for mask_type, masks in detections.masks.items()
    }
    boxes = detections.boxes[model.roi_head.layout.primary].tolist()
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        line: dict[str, Any] = {
            "image_id": frame.image_id,
            "category_id": int(detections.labels[row]) + 1,
            "score": float(detections.scores[row]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "track_id": int(ids[row]),
        }
        for mask_type in MASK_TYPES:
            line[mask_type] = encode(bitmaps[mask_type][row]) if mask_type in bitmaps else None
        yield line


MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of RGB (spec 2.4)


def network_input(image: np.ndarray) -> Tensor:
    """A BGR frame (h, w, 3) as a network takes it: (1, 3, H, W) float32, normalised RGB, padded to
    multiples of 32."""
    colours = image[:, :, ::-1].astype(np.float32)
    normalised: np.ndarray = (colours - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return _padded(np.ascontiguousarray(normalised.transpose(2, 0, 1)))[None]


def _padded(array: np.ndarray) -> Tensor:
    height, width = array.shape[-2:]
    return pad(torch.from_numpy(array), (0, -width % 32, 0, -height % 32))


def load_frame(path: Path, items: Iterable[Mapping[str, Any]]) -> tuple[Tensor, Tensor, Tensor]:
    """The network's input of a frame, and bitmaps of all its objects, amodal and visible (n, H, W)
    uint8."""
    items = list(items)
    amodal, visible = (
        _padded(np.stack([coco_mask.decode(item[name]) for item in items]))
        for name in ("amodal_mask", "visible_mask")
    )
    return network_input(read_image(path)), amodal, visible
