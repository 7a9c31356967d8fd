"""Mask head: a 28 x 28 mask per class of each region; targets and loss (spec 3.6, 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu
from torchvision.ops import roi_align

from vatrack.common.structures import WHOLE_BATCH, BatchShare
from vatrack.models.boxes import clip
from vatrack.models.layers import conv_block
from vatrack.models.roi import with_image_index
from vatrack.models.sample import Sample

REGION_SIZE = 14
MASK_SIZE = 2 * REGION_SIZE


class MaskHead(nn.Module):
    """3x3 convolutions, a transposed convolution to 28 x 28, one logit plane per class."""

    def __init__(
        self, classes: int, inputs: int = 256, channels: int = 256, depth: int = 4
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            conv_block(inputs if i == 0 else channels, channels, 3, relu=True) for i in range(depth)
        )
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.conv_logits = nn.Conv2d(channels, classes, 1)

    def forward(self, regions: Tensor) -> Tensor:
        """Region features (k, channels, 14, 14) to logits (k, classes, 28, 28)."""
        logits: Tensor = self.conv_logits(self._upsampled(regions))
        return logits

    def planes(self, regions: Tensor, labels: Tensor) -> Tensor:
        """The logits of one class of each region alone, (k, 28, 28).

        Args:
            regions: (k, channels, 14, 14); `labels`: (k,).
        """
        x = self._upsampled(regions)
        weights = self.conv_logits.weight[:, :, 0, 0][labels].to(x.dtype)
        planes = torch.bmm(weights[:, None], x.flatten(2)).view(-1, MASK_SIZE, MASK_SIZE)
        assert self.conv_logits.bias is not None
        return planes + self.conv_logits.bias[labels][:, None, None]

    def _upsampled(self, regions: Tensor) -> Tensor:
        x = regions
        for block in self.convs:
            x = block(x)
        return relu(self.upsample(x))


def mask_targets(
    positives: Sequence[Tensor], matched: Sequence[Tensor], bitmaps: Sequence[Tensor]
) -> Tensor:
    """Ground-truth bitmaps resampled to the positive regions, (p, 28, 28) of 0 and 1, cut at 0.5
    (spec 4.4).

    torchvision's Mask R-CNN resamples unclipped regions without the half-pixel shift and keeps the
    fractions.

    Args:
        positives: boxes (p_i, 4) per image; `matched`: (p_i,) ground-truth index of each.
        bitmaps: (g_i, H, W) uint8 per image.
    """
    targets = []
    for boxes, index, bitmap in zip(positives, matched, bitmaps, strict=True):
        if len(boxes) == 0:
            targets.append(boxes.new_zeros(0, MASK_SIZE, MASK_SIZE))
            continue
        height, width = bitmap.shape[-2:]
        regions = torch.cat([index[:, None].to(boxes), clip(boxes, (height, width))], dim=1)
        resampled = roi_align(bitmap[:, None].to(boxes), regions, MASK_SIZE, 1.0, 0, aligned=True)
        targets.append((resampled[:, 0] >= 0.5).to(boxes))
    return torch.cat(targets)


def mask_loss(
    logits: Tensor, labels: Tensor, targets: Tensor, share: BatchShare = WHOLE_BATCH
) -> Tensor:
    """Mean binary cross-entropy of the plane of each region's class; 0 with a graph where there is
    no region.

    Args:
        logits: (p, classes, 28, 28); `labels`: (p,); `targets`: (p, 28, 28).
    """
    divisor = share.divisor(len(logits))  # also where there is no region: processes count together
    if len(logits) == 0:
        return logits.sum() * 0
    planes = logits[torch.arange(len(logits), device=logits.device), labels]
    return binary_cross_entropy_with_logits(planes.float(), targets, reduction="sum") / (
        divisor * MASK_SIZE * MASK_SIZE
    )


def positive_regions(samples: Sequence[Sample]) -> Tensor:
    """Regions (p, 5) of the positives of all images."""
    return with_image_index([sample.positives for sample in samples])
