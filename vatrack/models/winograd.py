"""Winograd's 3x3 convolution F(4x4, 3x3): a quarter of the multiplications, in float32 on a CPU.

A tile of 4x4 outputs is the inverse transform of a product, number by number, of the transformed
6x6 inputs and the transformed kernel, summed over channels: 36 multiplications a channel where the
direct form takes 144 (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016).
The products of many tiles are 36 matrix products; the transforms are matrix products too. Bands of
tiles that fit the processor's second-level cache are taken one after the other.

Rounding differs from `conv2d` by some 3e-6 of the outputs' standard deviation (`conv2d` itself is
about 1e-6 off). The same input gives the same bits on one machine, whatever the number of threads.
Large maps go to NNPACK, whose larger tiles are faster there.

Layers use it only where they are asked to: `use_winograd` changes convolutions of a network that
exists; a network without that call is the plain one. Names, order and values of its parameters
stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vatrack.models import nnpack
from vatrack.models.memory_order import channels_last

OUT, IN = 4, 6  # sides of a tile of outputs, and of the inputs that it needs
BAND = 128  # tiles that are computed together: some megabytes with 256 channels
CHANNELS = 128  # with fewer, the transforms cost more than is saved
FEWEST_TILES = 32  # with fewer, the transform of the kernel alone does

_INPUT = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_KERNEL = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_OUTPUT = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)


@cache
def _both_axes(matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """The matrix that applies `matrix` to rows and columns of a tile whose numbers are a column."""
    one_axis = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one_axis, one_axis).float()


class WinogradConv2d(nn.Conv2d):
    """A convolution that takes Winograd's form in float32 on a CPU, else is the ordinary one.

    Attributes:
        frozen: the weights change no more, so that what is made of them is made once, when an image
            first needs it.
    """

    frozen = False

    @cached_property
    def transformed(self) -> Tensor:
        """The kernel's transform, (36, inputs, outputs); four times its memory."""
        return transform_kernel(self.weight.detach()).contiguous().transpose(1, 2)

    @cached_property
    def kernel(self) -> Tensor:
        """The weights, contiguous, as NNPACK needs them."""
        return self.weight.detach().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w); in memory the channels come last, but for what
        NNPACK makes where the weights change no more."""
        if not _possible(x, self.weight):
            return super().forward(x)
        if self.frozen:
            if nnpack.suits(x):
                return nnpack.convolve(x, self.kernel, self.bias)
            return convolve(x, self.transformed, self.bias)
        if _tiles(x) < FEWEST_TILES:
            return super().forward(x)
        result: Tensor = _Convolution.apply(x, self.weight, self.bias)
        return result


def use_winograd(network: nn.Module, *, frozen: bool = False) -> None:
    """Lets all convolutions of a network that profit from it take Winograd's form on a CPU.

    Args:
        frozen: the weights change no more.
    """
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _profits(layer):
            layer.__class__ = WinogradConv2d  # the same parameters, hooks and name
        if frozen and isinstance(layer, WinogradConv2d):
            layer.frozen = True


def _profits(layer: nn.Conv2d) -> bool:
    form = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    return (
        form == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
        and layer.padding_mode == "zeros"
        and min(layer.in_channels, layer.out_channels) >= CHANNELS
    )


def _possible(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _tiles(x: Tensor) -> int:
    return len(x) * -(-x.shape[2] // OUT) * -(-x.shape[3] // OUT)


def transform_kernel(weight: Tensor, *, turned: bool = False) -> Tensor:
    """(outputs, inputs, 3, 3) to (36, outputs, inputs), in memory (outputs, 36, inputs); `turned`:
    of the kernel turned by 180 degrees."""
    outputs, inputs = weight.shape[:2]
    matrix = _both_axes(_KERNEL)
    if turned:
        matrix = matrix.flip(1)
    # Free where the weights are channels last, as they are in a training.
    taps = weight.permute(0, 2, 3, 1).reshape(outputs, 9, inputs)
    return torch.bmm(matrix.expand(outputs, -1, -1), taps).transpose(0, 1)


def convolve(x: Tensor, transformed: Tensor, bias: Tensor | None) -> Tensor:
    """(n, inputs, h, w) to (n, outputs, h, w).

    Args:
        transformed: the kernel's transform, (36, inputs, outputs).
    """
    count, _, height, width = x.shape
    outputs = transformed.shape[2]
    # Not a view of anything: autograd refuses to change what a function of ours returns as a view.
    result = torch.empty(
        (count, outputs, height, width), dtype=x.dtype, memory_format=torch.channels_last
    )
    rows = result.permute(0, 2, 3, 1)
    for band in _bands(count, height, width):
        products = torch.bmm(_transform_inputs(x, band), transformed)
        tiles = _both_axes(_OUTPUT) @ products.view(IN * IN, -1)
        target = rows[band.images, band.rows]
        values = band.joined(tiles)[:, : target.shape[1], :width]
        if bias is None:
            target.copy_(values)
        else:
            torch.add(values, bias, out=target)
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        # Channels last, as all other layers of a training take and leave them.
        if nnpack.suits(x):
            return nnpack.convolve_channels_last(x, weight.contiguous(), bias)
        return convolve(x, transform_kernel(weight).transpose(1, 2), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            _input_gradient(gradient, weight) if for_x else None,
            _kernel_gradient(x, gradient) if for_weight else None,
            gradient.sum((0, 2, 3)) if for_bias else None,
        )


def _input_gradient(gradient: Tensor, weight: Tensor) -> Tensor:
    """The convolution of the gradient with the turned kernel."""
    if nnpack.suits(gradient):
        turned = weight.flip(2, 3).transpose(0, 1).contiguous()
        return nnpack.convolve_channels_last(gradient, turned, None)
    return convolve(gradient, transform_kernel(weight, turned=True), None)


def _kernel_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with respect to the kernel: every step of `convolve`, transposed."""
    count, inputs, height, width = x.shape
    outputs = gradient.shape[1]
    x, gradient = channels_last(x), channels_last(gradient)
    total = x.new_empty(IN * IN, outputs, inputs)
    for number, band in enumerate(_bands(count, height, width)):
        tiles = band.split(gradient, OUT, 0)
        products = (_both_axes(_OUTPUT).T @ tiles).view(IN * IN, -1, outputs)
        # The first band needs no zeros to be added to.
        total.baddbmm_(products.transpose(1, 2), _transform_inputs(x, band), beta=min(number, 1))
    taps = torch.bmm(_both_axes(_KERNEL).T.expand(outputs, -1, -1), total.transpose(0, 1))
    return taps.view(outputs, 3, 3, inputs).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Band:
    """Some rows of tiles of an image, or all tiles of some images."""

    images: slice
    rows: slice
    """Rows of numbers; the last ones may lie below the image."""
    columns: int
    """Tiles beside each other."""

    def split(self, x: Tensor, side: int, margin: int) -> Tensor:
        """Squares (side * side, tiles * channels) of x, one every four pixels; 0 outside of x.

        Args:
            margin: how far the first square begins outside of the image.
        """
        height, width = x.shape[-2:]
        images = x[self.images].permute(0, 2, 3, 1)
        count, channels = len(images), x.shape[1]
        rows = (self.rows.stop - self.rows.start) // OUT
        overlap = side - OUT
        padded = x.new_zeros(count, rows * OUT + overlap, self.columns * OUT + overlap, channels)
        first, last = max(self.rows.start - margin, 0), self.rows.stop + overlap - margin
        source = images[:, first : min(last, height)]
        top = first - (self.rows.start - margin)
        padded[:, top : top + source.shape[1], margin : margin + width] = source
        image, row, column, _ = padded.stride()
        squares = padded.as_strided(
            (side, side, count, rows, self.columns, channels),
            (row, column, image, OUT * row, OUT * column, 1),
        )
        return squares.reshape(side * side, -1)

    def joined(self, tiles: Tensor) -> Tensor:
        """Tiles (16, tiles * channels) of outputs to images (n, 4 rows, 4 columns, channels)."""
        count = self.images.stop - self.images.start
        rows = (self.rows.stop - self.rows.start) // OUT
        squares = tiles.view(OUT, OUT, count, rows, self.columns, -1)
        return squares.permute(2, 3, 0, 4, 1, 5).reshape(count, rows * OUT, self.columns * OUT, -1)


def _bands(count: int, height: int, width: int) -> Iterator[_Band]:
    down, across = -(-height // OUT), -(-width // OUT)
    images = max(1, BAND // (down * across))
    rows = min(down, max(1, BAND // across))
    for image in range(0, count, images):
        for row in range(0, down, rows):
            yield _Band(
                slice(image, min(image + images, count)),
                slice(row * OUT, min(row + rows, down) * OUT),
                across,
            )


def _transform_inputs(x: Tensor, band: _Band) -> Tensor:
    """(36, tiles, inputs)."""
    values = _both_axes(_INPUT) @ band.split(x, IN, 1)
    return values.view(IN * IN, -1, x.shape[1])
