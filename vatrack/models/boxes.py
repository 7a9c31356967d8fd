"""Boxes: overlap, coding, class-wise suppression (spec 3.3).

Boxes are float tensors (n, 4) of corners x1, y1, x2, y2 in pixels, continuous, width = x2 - x1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.ops import nms

# Standard deviations of the deltas of centre and size.
RPN_STD = (1.0, 1.0)
HEAD_STD = (0.1, 0.2)
MAX_LOG_RATIO = abs(math.log(16 / 1000))
# Above this number of boxes one offset plane per class would cost float precision; then classes are
# taken one by one.
OFFSET_NMS_LIMIT = 10_000
# Up to this number of classes (SAIL-VOS has 24) float32 leaves the planes of usual frames a
# hundredth of a pixel; with 1200 it would be an eighth.
FLOAT32_CLASSES = 100


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union, (n, 4) and (m, 4) to (n, m). The union is at least 1e-6, so empty
    boxes give 0, not NaN.

    torchvision's box_iou divides by zero there.
    """
    corner_min = torch.maximum(a[:, None, :2], b[None, :, :2])
    corner_max = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    size = (corner_max - corner_min).clamp(min=0)
    intersection = size[..., 0] * size[..., 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None, :] - intersection
    return intersection / union.clamp(min=1e-6)


def _centre_form(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return (boxes[..., :2] + boxes[..., 2:]) * 0.5, size


def encode(sources: Tensor, targets: Tensor, std: tuple[float, float]) -> Tensor:
    """Deltas (n, 4) that turn `sources` into `targets` (spec 3.3)."""
    source_centre, source_size = _centre_form(sources)
    target_centre, target_size = _centre_form(targets)
    centre = (target_centre - source_centre) / source_size / std[0]
    return torch.cat([centre, torch.log(target_size / source_size) / std[1]], dim=-1)


def decode(
    sources: Tensor, deltas: Tensor, std: tuple[float, float], image_size: tuple[int, int]
) -> Tensor:
    """Applies `deltas` (n, k, 4) or (n, 4) to `sources` (n, 4) and clips to the image.

    Both logarithmic sizes are clamped to +-|ln(16/1000)|; torchvision clamps from above only.

    Args:
        image_size: height and width of the network input without padding.
    """
    if deltas.dim() == 3:
        sources = sources[:, None]
    centre, size = _centre_form(sources)
    centre = centre + size * (deltas[..., :2] * std[0])
    size = size * (deltas[..., 2:] * std[1]).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    return clip(torch.cat([centre - size * 0.5, centre + size * 0.5], dim=-1), image_size)


def clip(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Clips corners (..., 4) to [0, width] x [0, height]."""
    height, width = image_size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x, y], dim=-1).flatten(-2)


def classwise_nms(
    boxes: Tensor, scores: Tensor, classes: Tensor, iou: float, number: int = FLOAT32_CLASSES
) -> Tensor:
    """Indices that survive NMS within each class, best score first (spec 3.3).

    A box is suppressed when its IoU with a better one of its class is above `iou`. torchvision's
    batched_nms does the same but changes from the offset trick to a loop at another number of
    boxes, which moves rounding.

    Args:
        number: of all classes; what decides whether float32 is enough to keep them apart.
    """
    if boxes.numel() == 0:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    if len(boxes) < OFFSET_NMS_LIMIT:
        if number > FLOAT32_CLASSES:
            boxes, scores = boxes.double(), scores.double()
        offsets = classes.to(boxes) * (boxes.max() + 1)
        return nms(boxes + offsets[:, None], scores, iou)
    kept = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    for label in classes.unique():
        members = (classes == label).nonzero()[:, 0]
        kept[members[nms(boxes[members], scores[members], iou)]] = True
    survivors = kept.nonzero()[:, 0]
    return survivors[scores[survivors].argsort(descending=True)]
