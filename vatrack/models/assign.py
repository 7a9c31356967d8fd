"""Which ground truth each box belongs to: the max-IoU assigner (spec 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vatrack.models.boxes import pairwise_iou

IGNORED, NEGATIVE = -1, 0


@dataclass(frozen=True)
class Thresholds:
    """IoU limits of an assigner."""

    positive: float
    negative: float
    low_quality: float | None = None
    """Lowest IoU at which a ground truth still claims its best boxes; None: no such step."""


RPN_THRESHOLDS = Thresholds(positive=0.7, negative=0.3, low_quality=0.3)
HEAD_THRESHOLDS = Thresholds(positive=0.5, negative=0.5)
TRACK_THRESHOLDS = Thresholds(positive=0.7, negative=0.3)


@dataclass(frozen=True)
class Assignment:
    """For n boxes: `state` (n,) int64 is -1 ignored, 0 negative, i + 1 ground truth i; `max_iou`
    (n,)."""

    state: Tensor
    max_iou: Tensor


def assign(boxes: Tensor, ground_truth: Tensor, thresholds: Thresholds) -> Assignment:
    """Assigns boxes (n, 4) to ground truth (g, 4).

    With the low-quality step a ground truth takes all boxes that reach its best IoU, later ground
    truths winning over earlier ones and over positives; torchvision's Matcher restores each box's
    own best ground truth instead.
    """
    if len(ground_truth) == 0 or len(boxes) == 0:
        nothing = boxes.new_zeros(len(boxes))
        return Assignment(torch.zeros_like(nothing, dtype=torch.int64), nothing)
    iou = pairwise_iou(ground_truth, boxes)
    max_iou, best = iou.max(dim=0)
    # Rows are chosen by `where`: a GPU would have to tell how many an index of them has.
    unmatched = torch.where(max_iou < thresholds.negative, NEGATIVE, IGNORED)
    state = torch.where(max_iou >= thresholds.positive, best + 1, unmatched)
    if thresholds.low_quality is not None:
        best_iou = iou.max(dim=1).values
        claims = (iou == best_iou[:, None]) & (best_iou >= thresholds.low_quality)[:, None]
        order = torch.arange(1, len(ground_truth) + 1, device=boxes.device)
        last_claim = (claims * order[:, None]).max(dim=0).values
        state = torch.where(last_claim > 0, last_claim, state)
    return Assignment(state, max_iou)


def prepend_ground_truth(assignment: Assignment, count: int) -> Assignment:
    """The assignment after `count` ground-truth boxes were put in front, each a positive of itself
    with IoU 1."""
    own = torch.arange(1, count + 1, device=assignment.state.device)
    return Assignment(
        torch.cat([own, assignment.state]),
        torch.cat([assignment.max_iou.new_ones(count), assignment.max_iou]),
    )
