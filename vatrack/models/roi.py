"""Features of regions: one pyramid level per region, RoIAlign with the half-pixel shift (spec
3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torchvision.ops import roi_align

from vatrack.models.fpn import STRIDES
from vatrack.models.roi_gradient import features_gradient

FINEST_SCALE = 56
VECTOR_REGION_SIZE = 7  # of the heads that end in a vector: box and embedding heads
LEVELS = 4
BAND = 64  # rows of network pixels whose regions are taken from left to right
CHANNELS = 32  # of a map: on P2 of a large frame 8 MB


def with_image_index(boxes: Sequence[Tensor]) -> Tensor:
    """Boxes per image [(k_i, 4)] to regions (sum k_i, 5) with the image's index in front."""
    return torch.cat(
        [torch.cat([b.new_full((len(b), 1), i), b[:, :4]], dim=1) for i, b in enumerate(boxes)]
    )


def region_levels(regions: Tensor) -> Tensor:
    """Pyramid level 0..3 of regions (k, 5): floor(log2(sqrt(area) / 56 + 1e-6)), clamped."""
    side = ((regions[:, 3] - regions[:, 1]) * (regions[:, 4] - regions[:, 2])).sqrt()
    return torch.log2(side / FINEST_SCALE + 1e-6).floor().clamp(0, LEVELS - 1).long()


def region_features(features: Sequence[Tensor], regions: Tensor, size: int) -> Tensor:
    """RoIAlign of regions (k, 5) on P2..P5, to (k, channels, size, size) in the features' type.

    torchvision's MultiScaleRoIAlign cannot be used: it aligns without the half-pixel shift.
    Positions stay in float32 with mixed precision, too: bfloat16 knows only every fourth pixel at
    the right border of a frame.
    """
    # One order by level, and one number of regions a level, for which alone a GPU is waited.
    levels = region_levels(regions)
    order = _order(regions, levels)
    counts = (levels[:, None] == torch.arange(LEVELS, device=levels.device)).sum(0).tolist()
    # What is not a number has no level, and zeros as features: it comes first.
    order = order[len(order) - sum(counts) :]
    sorted_regions = regions[order].float().split(counts)
    aligned = [
        _aligned(features[level].float(), of_level, size, 1 / STRIDES[level])
        for level, of_level in enumerate(sorted_regions)
        if len(of_level)
    ]
    output = features[0].new_zeros(len(regions), features[0].shape[1], size, size)
    return output.index_copy_(0, order, torch.cat(aligned).to(output)) if aligned else output


def _order(regions: Tensor, levels: Tensor) -> Tensor:
    """Rows of the regions, level by level; on a CPU those that lie close together follow each
    other, and find what they read in its cache."""
    if regions.device.type != "cpu":
        return levels.argsort(stable=True)
    band = (regions[:, 2] / BAND).long()
    keys = (regions[:, 0].long() << 40) + (band << 20) + regions[:, 1].long()
    order = keys.argsort(stable=True)
    return order[levels[order].argsort(stable=True)]


def _aligned(features: Tensor, regions: Tensor, size: int, scale: float) -> Tensor:
    """RoIAlign of one level, to (k, channels, size, size)."""
    if features.device.type != "cpu":
        return roi_align(features, regions, size, scale, 0, aligned=True)
    result: Tensor = _GroupedRoIAlign.apply(features, regions, size, scale)
    return result


class _GroupedRoIAlign(torch.autograd.Function):
    """RoIAlign on a CPU: some channels after the others, whose maps stay in its cache."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, regions: Tensor, size: int, scale: float) -> Tensor:
        ctx.save_for_backward(regions)
        ctx.shape, ctx.scale = features.shape, scale
        aligned = [
            roi_align(chunk, regions, size, scale, 0, aligned=True)
            for chunk in features.split(CHANNELS, dim=1)
        ]
        return torch.cat(aligned, dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (regions,) = ctx.saved_tensors
        return features_gradient(gradient, regions, ctx.shape, ctx.scale), None, None, None
