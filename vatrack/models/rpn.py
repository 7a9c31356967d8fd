"""Region proposal network: anchors, head, proposals, losses (spec 3.3, 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu, smooth_l1_loss

from vatrack.common.structures import WHOLE_BATCH, BatchShare
from vatrack.config import ProposalConfig, SamplerConfig
from vatrack.models.assign import RPN_THRESHOLDS, assign
from vatrack.models.boxes import RPN_STD, classwise_nms, decode, encode
from vatrack.models.fpn import STRIDES
from vatrack.models.sample import draw_anchors

RATIOS = (0.5, 1.0, 2.0)
NMS_IOU = 0.7
MIN_SIZE = 1.0


def grid_anchors(
    sizes: Sequence[tuple[int, int]], scale: float, device: torch.device
) -> list[Tensor]:
    """Anchors per level, (h * w * 3, 4), ordered by row, column, ratio.

    Centres lie on (x * stride, y * stride), corners are not rounded, and the strides are the
    nominal ones; torchvision's AnchorGenerator rounds and derives strides from the image size.
    """
    ratios = torch.tensor(RATIOS, device=device).sqrt()
    anchors = []
    for (height, width), stride in zip(sizes, STRIDES, strict=True):
        half = torch.stack([stride * scale / ratios, stride * scale * ratios], dim=1) * 0.5
        base = torch.cat([-half, half], dim=1)
        y, x = torch.meshgrid(
            torch.arange(height, device=device) * stride,
            torch.arange(width, device=device) * stride,
            indexing="ij",
        )
        centres = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
        anchors.append((centres + base).reshape(-1, 4))
    return anchors


@lru_cache(maxsize=4)
def _kept_anchors(
    sizes: tuple[tuple[int, int], ...], scale: float, device: torch.device
) -> list[Tensor]:
    with torch.inference_mode(False):  # a training may use what an inference made
        return grid_anchors(sizes, scale, device)


class ProposalNetwork(nn.Module):
    """3x3 convolution, then objectness and box deltas for three anchors per place."""

    def __init__(self, channels: int = 256, anchor_scale: float = 8.0) -> None:
        super().__init__()
        self.rpn_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.rpn_cls = nn.Conv2d(channels, len(RATIOS), 1)
        self.rpn_reg = nn.Conv2d(channels, 4 * len(RATIOS), 1)
        self.anchor_scale = anchor_scale

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """[P2..P6] to raw logits [(n, 3, h, w)] and deltas [(n, 12, h, w)] per level."""
        hidden = [relu(self.rpn_conv(feature), inplace=True) for feature in features]
        return [self.rpn_cls(x) for x in hidden], [self.rpn_reg(x) for x in hidden]

    def anchors(self, logits: Sequence[Tensor]) -> list[Tensor]:
        """The anchors that belong to raw logits, per level."""
        sizes = tuple((int(x.shape[-2]), int(x.shape[-1])) for x in logits)
        return _kept_anchors(sizes, self.anchor_scale, logits[0].device)


def _flatten(maps: Sequence[Tensor], width: int) -> list[Tensor]:
    """[(n, 3 * width, h, w)] to [(n, h * w * 3, width)]."""
    return [x.permute(0, 2, 3, 1).reshape(len(x), -1, width) for x in maps]


def zero_if_finite(values: Sequence[Tensor]) -> Tensor:
    """0, or NaN where one of the values is not finite.

    Proposals of such values vanish without a word, and the published training dies of their absence
    much later (quirk T11); added to a loss, this tells at once.
    """
    return torch.stack([value.float().sum() for value in values]).sum() * 0


@torch.no_grad()
def propose(
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Tensor],
    image_sizes: Sequence[tuple[int, int]],
    settings: ProposalConfig,
) -> list[Tensor]:
    """Proposals of every image, (k, 5) with the score last, best first; k <= settings.post_nms.

    Args:
        image_sizes: height and width of each image without padding.
    """
    best = [
        _best(level_logits, level_deltas, level_anchors, settings.pre_nms)
        for level_logits, level_deltas, level_anchors in zip(
            _flatten(logits, 1), _flatten(deltas, 4), anchors, strict=True
        )
    ]
    all_scores, all_deltas, all_anchors = (torch.cat(x, dim=1) for x in zip(*best, strict=True))
    levels = torch.cat([torch.full_like(x[0][0], i) for i, x in enumerate(best)])
    results = []
    for image, image_size in enumerate(image_sizes):
        boxes = decode(all_anchors[image], all_deltas[image], RPN_STD, image_size)
        size = boxes[:, 2:] - boxes[:, :2]
        large = (size >= MIN_SIZE).all(dim=1).nonzero()[:, 0]
        boxes, scores = boxes[large], all_scores[image, large]
        kept = classwise_nms(boxes, scores, levels[large], NMS_IOU)[: settings.post_nms]
        results.append(torch.cat([boxes[kept], scores[kept, None]], dim=1))
    return results


def _best(
    logits: Tensor, deltas: Tensor, anchors: Tensor, limit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (n, k), deltas (n, k, 4) and anchors (n, k, 4) of the best anchors of one level, best
    first; equal ones in the order of the anchors.

    Args:
        logits: (n, a, 1); `deltas`: (n, a, 4); `anchors`: (a, 4).
    """
    scores = logits[..., 0].float().sigmoid()
    count = scores.shape[1]
    # The bits of numbers from 0 on are in their order. With the index below them all keys differ,
    # so topk, which promises no order of equal values, has only one answer.
    index = torch.arange(count - 1, -1, -1, device=scores.device)
    keys = scores.view(torch.int32).long() << 32 | index
    order = count - 1 - (keys.topk(min(limit, count)).values & 0xFFFFFFFF)
    chosen = deltas.gather(1, order[..., None].expand(-1, -1, 4)).float()
    return scores.gather(1, order), chosen, anchors[order]


def rpn_losses(
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Tensor],
    ground_truth: Sequence[Tensor],
    sampler: SamplerConfig,
    share: BatchShare = WHOLE_BATCH,
) -> tuple[dict[str, Tensor], Tensor]:
    """Objectness and box losses over sampled anchors of all levels and images (spec 4.4).

    torchvision's RegionProposalNetwork divides by the number of sampled anchors, without the "at
    least one" of each kind.

    Returns:
        The terms, and the numbers of sampled positives and negatives, (images, 2).
    """
    all_anchors = torch.cat(list(anchors))
    all_logits = torch.cat(_flatten(logits, 1), dim=1)[..., 0].float()
    all_deltas = torch.cat(_flatten(deltas, 4), dim=1).float()
    objectness, regression = zero_if_finite([all_logits]), zero_if_finite([all_deltas])
    counts = []
    for image, boxes in enumerate(ground_truth):
        assignment = assign(all_anchors, boxes, RPN_THRESHOLDS)
        positive, negative = draw_anchors(assignment, sampler, share.generator(image))
        counts.append(torch.stack([positive.valid.sum(), negative.valid.sum()]))
        chosen = torch.cat([positive.rows, negative.rows])
        objectness = objectness + binary_cross_entropy_with_logits(
            all_logits[image, chosen],
            (assignment.state[chosen] > 0).float(),
            torch.cat([positive.valid, negative.valid]).float(),
            reduction="sum",
        )
        if len(boxes):
            truth = boxes[(assignment.state[positive.rows] - 1).clamp(min=0)]
            errors = smooth_l1_loss(
                all_deltas[image, positive.rows],
                encode(all_anchors[positive.rows], truth, RPN_STD),
                beta=1 / 9,
                reduction="none",
            )
            regression = regression + torch.where(positive.valid[:, None], errors, 0.0).sum()
    sampled = torch.stack(counts)
    divisor = share.divisor(sampled.clamp(min=1).sum())
    return {"loss_rpn_cls": objectness / divisor, "loss_rpn_bbox": regression / divisor}, sampled
