"""NNPACK's 3x3 convolution, Winograd's F(6x6, 3x3), in float32 on a CPU.

The fastest form for large maps where AVX2 is as fast as anything that the processor has; where
products use all of AVX-512's width, our own is (`vatrack.models.winograd`).

PyTorch brings the library along, and calls it through a private operator, so it is used only where
it is there and gives what `conv2d` gives. Its outputs differ from exact ones by some 4e-6 of their
standard deviation. The same input gives the same bits whatever the number of threads.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from vatrack.models import products
from vatrack.models.memory_order import channels_first, joined_channels_last
from vatrack.models.winograd_forms import LARGE_MAP

_LARGEST_ERROR = 1e-3  # of numbers about 1, in the test of the operator


@cache
def available() -> bool:
    """Whether this PyTorch has the library for this processor, and its results are right."""
    try:
        if not torch._nnpack_available():
            return False
        with torch.inference_mode():
            x = torch.arange(16 * 24 * 24.0).view(1, 16, 24, 24).sin()
            weight = torch.arange(16 * 16 * 9.0).view(16, 16, 3, 3).cos() / 12
            bias = torch.arange(16.0)
            error = convolve(x, weight, bias) - conv2d(x, weight, bias, padding=1)
    except (AttributeError, RuntimeError):
        return False
    return bool(error.abs().max() < _LARGEST_ERROR)  # False for what is not a number, too


def suits(x: Tensor) -> bool:
    """Whether it is the fastest way for images (n, c, h, w)."""
    large = x.shape[2] * x.shape[3] >= LARGE_MAP
    return large and available() and not products.full_width()


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(n, inputs, h, w) to (n, outputs, h, w), n > 0; in memory the columns come last.

    Args:
        weight: (outputs, inputs, 3, 3), contiguous.
    """
    images = _convolved(x, weight, bias)
    return images[0] if len(images) == 1 else torch.cat(images)


def convolve_channels_last(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same; in memory the channels come last."""
    return joined_channels_last(_convolved(x, weight, bias))


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    """One image after the other, so that an image's numbers depend on no other one."""
    return [
        torch._nnpack_spatial_convolution(image, weight, bias, 1)
        for image in channels_first(x).split(1)
    ]
