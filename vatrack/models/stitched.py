"""Mask heads for prediction on a CPU: all regions stitched into one image.

A region of 14 x 14 alone fills nine of Winograd's tiles of 6 x 6 to three fifths; in an image only
one row and one column of zeros between neighbours are computed for nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vatrack.models import packed
from vatrack.models.mask_head import MASK_SIZE, REGION_SIZE, MaskHead
from vatrack.models.packed import PackedLinear
from vatrack.models.winograd import WinogradConv2d

PERIOD = REGION_SIZE + 1  # a region and the zeros behind it


class StitchedMaskHead(MaskHead):
    """The same parameters and the same planes."""

    expand: PackedLinear
    """The transposed convolution: a number of each of four pixels is a row of its own."""

    def freeze(self) -> None:
        """Keeps the transposed convolution as a matrix: its weights change no more."""
        weight, bias = self.upsample.weight, self.upsample.bias
        assert bias is not None
        matrix = weight.permute(2, 3, 1, 0).reshape(-1, len(weight))
        self.expand = PackedLinear(matrix, bias.repeat(4))

    def planes(self, regions: Tensor, labels: Tensor) -> Tensor:
        """See `MaskHead.planes`."""
        count = len(regions)
        if not count or regions.dtype != torch.float32:
            return super().planes(regions, labels)
        pixels = self.expand(self._convolved(regions), relu=True)
        channels = self.conv_logits.in_channels
        weights = self.conv_logits.weight[:, :, 0, 0][labels]
        planes = torch.bmm(weights[:, None], pixels.view(count, -1, channels).transpose(1, 2))
        planes = planes.view(count, REGION_SIZE, REGION_SIZE, 2, 2).transpose(2, 3)
        assert self.conv_logits.bias is not None
        bias = self.conv_logits.bias[labels][:, None, None]
        return planes.reshape(-1, MASK_SIZE, MASK_SIZE) + bias

    def _convolved(self, regions: Tensor) -> Tensor:
        """(k, channels, 14, 14) to a row for each pixel, (k * 196, channels)."""
        count, channels = regions.shape[:2]
        across = math.isqrt(count - 1) + 1
        down = -(-count // across)
        shape = down, PERIOD, across, PERIOD, channels
        image = regions.new_zeros(1, down * PERIOD, across * PERIOD, channels)
        cells = _inside(image.view(shape))
        for row, some in enumerate(regions.permute(0, 2, 3, 1).split(across)):
            cells[row, : len(some)] = some
        image = image.permute(0, 3, 1, 2)
        for block in self.convs:
            image = block(image)
            image[:, :, REGION_SIZE::PERIOD] = 0
            image[:, :, :, REGION_SIZE::PERIOD] = 0
        pixels = _inside(image.permute(0, 2, 3, 1).reshape(shape))
        return pixels.reshape(down * across, -1, channels)[:count].reshape(-1, channels)


def _inside(image: Tensor) -> Tensor:
    """(down, 15, across, 15, channels) to the regions, (down, across, 14, 14, channels)."""
    return image[:, :-1, :, :-1].transpose(1, 2)


def stitch_mask_heads(network: nn.Module) -> None:
    """Changes the mask heads whose convolutions take Winograd's form, for prediction alone."""
    if not packed.available():
        return
    for head in network.modules():
        if type(head) is MaskHead and all(
            isinstance(block.get_submodule("conv"), WinogradConv2d) for block in head.convs
        ):
            head.__class__ = StitchedMaskHead  # the same parameters and name
            assert isinstance(head, StitchedMaskHead)
            head.freeze()
