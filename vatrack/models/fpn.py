"""Feature pyramid (spec 3.2). The parameter names are those of OpenMMLab checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from vatrack.models.layers import conv_block

STRIDES = (4, 8, 16, 32, 64)


class FeaturePyramid(nn.Module):
    """C2..C5 to P2..P6, all with the same number of channels; P6 is P5 subsampled by two."""

    def __init__(self, inputs: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(conv_block(number, channels, 1) for number in inputs)
        self.fpn_convs = nn.ModuleList(conv_block(channels, channels, 3) for _ in inputs)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """[C2..C5] to [P2..P6]."""
        merged = [
            convolve(feature)
            for convolve, feature in zip(self.lateral_convs, features, strict=True)
        ]
        for level in range(len(merged) - 1, 0, -1):
            size = merged[level - 1].shape[-2:]
            merged[level - 1] = merged[level - 1] + interpolate(
                merged[level], size=size, mode="nearest"
            )
        outputs = [
            convolve(feature) for convolve, feature in zip(self.fpn_convs, merged, strict=True)
        ]
        outputs.append(max_pool2d(outputs[-1], kernel_size=1, stride=2))
        return outputs
