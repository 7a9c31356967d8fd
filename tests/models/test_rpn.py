"""Proposals against the plain way: level by level, image by image, a sort each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from vatrack.config import ProposalConfig
from vatrack.models.boxes import RPN_STD, classwise_nms, decode
from vatrack.models.rpn import MIN_SIZE, NMS_IOU, ProposalNetwork, grid_anchors, propose

SIZES = [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]
IMAGE_SIZES = [(48, 80), (40, 70)]


def _plain(
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Tensor],
    settings: ProposalConfig,
) -> list[Tensor]:
    # Of all images at once: the last bit of a sigmoid depends on its place in memory.
    all_scores = [x.permute(0, 2, 3, 1).reshape(2, -1).sigmoid() for x in logits]
    results = []
    for image, size in enumerate(IMAGE_SIZES):
        boxes, scores, levels = [], [], []
        for level, level_anchors in enumerate(anchors):
            score, order = all_scores[level][image].sort(descending=True, stable=True)
            score, order = score[: settings.pre_nms], order[: settings.pre_nms]
            delta = deltas[level][image].permute(1, 2, 0).reshape(-1, 4)[order]
            box = decode(level_anchors[order], delta, RPN_STD, size)
            large = ((box[:, 2] - box[:, 0]) >= MIN_SIZE) & ((box[:, 3] - box[:, 1]) >= MIN_SIZE)
            boxes.append(box[large])
            scores.append(score[large])
            levels.append(torch.full((len(boxes[-1]),), level))
        box, score = torch.cat(boxes), torch.cat(scores)
        kept = classwise_nms(box, score, torch.cat(levels), NMS_IOU)[: settings.post_nms]
        results.append(torch.cat([box[kept], score[kept, None]], dim=1))
    return results


@pytest.mark.parametrize("steps", [0, 1, 4, None])
@pytest.mark.parametrize("pre_nms", [40, 10_000])
def test_the_same_rows_in_the_same_order(steps: int | None, pre_nms: int) -> None:
    """`steps`: so few different logits that many are equal; None: all differ."""
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(2, 3, *size, generator=generator) * 3 for size in SIZES]
    if steps is not None:
        logits = [(x * steps / 4).round() * 20 for x in logits]  # some saturate to exactly 1
    deltas = [torch.randn(2, 12, *size, generator=generator) * 2 for size in SIZES]
    anchors = grid_anchors(SIZES, 2.0, torch.device("cpu"))
    settings = ProposalConfig(pre_nms=pre_nms, post_nms=60)
    found = propose(logits, deltas, anchors, IMAGE_SIZES, settings)
    expected = _plain(logits, deltas, anchors, settings)
    assert all(map(torch.equal, found, expected))
    assert min(map(len, found)) > 20


def test_the_layout_in_memory_changes_nothing() -> None:
    torch.manual_seed(0)
    logits = [torch.randn(2, 3, *size) for size in SIZES]
    deltas = [torch.randn(2, 12, *size) for size in SIZES]
    anchors = grid_anchors(SIZES, 2.0, torch.device("cpu"))
    settings = ProposalConfig(pre_nms=40, post_nms=60)
    expected = propose(logits, deltas, anchors, IMAGE_SIZES, settings)
    other_logits, other_deltas = (
        [x.contiguous(memory_format=torch.channels_last) for x in maps] for maps in (logits, deltas)
    )
    found = propose(other_logits, other_deltas, anchors, IMAGE_SIZES, settings)
    assert all(map(torch.equal, found, expected))


def test_anchors_that_inference_made_serve_a_training() -> None:
    head = ProposalNetwork(4, anchor_scale=3.5)
    maps = [torch.zeros(1, 3, *size) for size in SIZES]
    with torch.inference_mode():
        made = head.anchors(maps)
    assert all(map(torch.equal, made, grid_anchors(SIZES, 3.5, torch.device("cpu"))))
    weight = torch.ones(4, requires_grad=True)
    (head.anchors(maps)[0] * weight).sum().backward()  # inference tensors would be refused
    assert weight.grad is not None
