"""Winograd's 3x3 convolutions F(4x4, 3x3) and F(6x6, 3x3) in float32 on a CPU.

A tile of outputs is the inverse transform of a product, number by number, of the transformed inputs
and the transformed kernel, summed over channels: 36 multiplications a channel for 16 outputs, where
the direct form takes 144, or 64 for 36, where it takes 324 (Lavin and Gray, "Fast algorithms for
convolutional neural networks", 2016). The products of many tiles are matrix products, one for each
number of a tile; the transforms are matrix products too. Bands of tiles are taken one after the
other, so that memory stays small.

Rounding differs from the exact outputs by some 3e-6 of their standard deviation, on large maps,
which take the larger tiles, by 7e-6 (`conv2d` by 2e-7 to 1e-6). The same input gives the same bits
on one machine, whatever the number of threads. Large maps go to NNPACK where it is faster.

Layers use it only where they are asked to: `use_winograd` changes convolutions of a network that
exists; a network without that call is the plain one. Names, order and values of its parameters
stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vatrack.models import nnpack
from vatrack.models.memory_order import channels_last
from vatrack.models.products import add_products, possible, product, products
from vatrack.models.winograd_forms import KERNEL, Form, both_axes, form_for

BAND = 256  # tiles that are computed together: some megabytes with 256 channels
CHANNELS = 128  # with fewer, the transforms cost more than is saved
FEWEST_TILES = 32  # with fewer, the transform of the kernel alone does


class WinogradConv2d(nn.Conv2d):
    """A convolution that takes Winograd's form in float32 on a CPU, else is the ordinary one.

    Attributes:
        transformed: transforms of the kernel (numbers of a tile, inputs, outputs) that are made
            when a map first needs them and kept; None while the weights change (see `freeze`).
    """

    transformed: dict[Form, Tensor] | None = None

    @cached_property
    def kernel(self) -> Tensor:
        """Weights that change no more, contiguous, as NNPACK needs them."""
        return self.weight.detach().contiguous()

    def freeze(self) -> None:
        """The weights change no more."""
        self.transformed = {}

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w); in memory the channels come last, but for what
        NNPACK makes where the weights change no more."""
        if not possible(x, self.weight):
            return super().forward(x)
        if self.transformed is not None:
            if nnpack.suits(x):
                return nnpack.convolve(x, self.kernel, self.bias)
            form = form_for(x)
            if form not in self.transformed:
                self.transformed[form] = transform_kernel(self.weight.detach(), form)
            return convolve(x, self.transformed[form], self.bias, form)
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
            layer.freeze()


def _profits(layer: nn.Conv2d) -> bool:
    form = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    return (
        form == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
        and layer.padding_mode == "zeros"
        and min(layer.in_channels, layer.out_channels) >= CHANNELS
    )


def _tiles(x: Tensor) -> int:
    size = form_for(x).size
    return len(x) * -(-x.shape[2] // size) * -(-x.shape[3] // size)


def transform_kernel(weight: Tensor, form: Form, *, turned: bool = False) -> Tensor:
    """(outputs, inputs, 3, 3) to (numbers of a tile, inputs, outputs).

    Args:
        turned: of the kernel turned by 180 degrees and its channels exchanged, as the gradient
            needs it: (numbers of a tile, outputs, inputs).
    """
    outputs, inputs = weight.shape[:2]
    matrix = both_axes(form.kernel)
    # The same bits for weights in any order in memory: a product rounds by the order, too.
    taps = weight.permute(2, 3, 0, 1).reshape(KERNEL * KERNEL, -1).contiguous()
    found = product(matrix.flip(1) if turned else matrix, taps).view(-1, outputs, inputs)
    return found if turned else found.transpose(1, 2)


def convolve(x: Tensor, transformed: Tensor, bias: Tensor | None, form: Form) -> Tensor:
    """(n, inputs, h, w) to (n, outputs, h, w).

    Args:
        transformed: see `transform_kernel`.
    """
    count, _, height, width = x.shape
    outputs = transformed.shape[2]
    # Not a view of anything: autograd refuses to change what a function of ours returns as a view.
    result = torch.empty(
        (count, outputs, height, width), dtype=x.dtype, memory_format=torch.channels_last
    )
    rows = result.permute(0, 2, 3, 1)
    for band in _bands(x, form.size):
        sums = products(_transform_inputs(x, band, form), transformed)
        tiles = product(both_axes(form.outputs), sums.flatten(1))
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
        form = form_for(x)
        return convolve(x, transform_kernel(weight, form), bias, form)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        form = form_for(x)
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            _input_gradient(gradient, weight, form) if for_x else None,
            _kernel_gradient(x, gradient, form) if for_weight else None,
            gradient.sum((0, 2, 3)) if for_bias else None,
        )


def _input_gradient(gradient: Tensor, weight: Tensor, form: Form) -> Tensor:
    """The convolution of the gradient with the turned kernel."""
    if nnpack.suits(gradient):
        turned = weight.flip(2, 3).transpose(0, 1).contiguous()
        return nnpack.convolve_channels_last(gradient, turned, None)
    return convolve(gradient, transform_kernel(weight, form, turned=True), None, form)


def _kernel_gradient(x: Tensor, gradient: Tensor, form: Form) -> Tensor:
    """The gradient with respect to the kernel: every step of `convolve`, transposed."""
    inputs, outputs = x.shape[1], gradient.shape[1]
    x, gradient = channels_last(x), channels_last(gradient)
    total: Tensor | None = None
    for band in _bands(x, form.size):
        tiles = product(both_axes(form.outputs).T, band.split(gradient, form.size, 0))
        of_outputs = tiles.view(form.numbers, -1, outputs).transpose(1, 2)
        total = add_products(total, of_outputs, _transform_inputs(x, band, form))
    assert total is not None  # there is at least one band
    taps = product(both_axes(form.kernel).T, total.flatten(1))
    return taps.reshape(KERNEL, KERNEL, outputs, inputs).permute(2, 3, 0, 1)


@dataclass(frozen=True)
class _Band:
    """Some rows of tiles of an image, or all tiles of some images."""

    size: int
    """Side of a tile of outputs."""
    images: slice
    rows: slice
    """Rows of numbers; the last ones may lie below the image."""
    columns: int
    """Tiles beside each other."""

    def split(self, x: Tensor, side: int, margin: int) -> Tensor:
        """Squares (side * side, tiles * channels) of x, one every `size` pixels; 0 outside of x.

        Args:
            margin: how far the first square begins outside of the image.
        """
        height, width = x.shape[-2:]
        images = x[self.images].permute(0, 2, 3, 1)
        count, channels = len(images), x.shape[1]
        rows = (self.rows.stop - self.rows.start) // self.size
        overlap = side - self.size
        padded = x.new_zeros(
            count, rows * self.size + overlap, self.columns * self.size + overlap, channels
        )
        first, last = max(self.rows.start - margin, 0), self.rows.stop + overlap - margin
        source = images[:, first : min(last, height)]
        top = first - (self.rows.start - margin)
        padded[:, top : top + source.shape[1], margin : margin + width] = source
        image, row, column, _ = padded.stride()
        squares = padded.as_strided(
            (side, side, count, rows, self.columns, channels),
            (row, column, image, self.size * row, self.size * column, 1),
        )
        return squares.reshape(side * side, -1)

    def joined(self, tiles: Tensor) -> Tensor:
        """Tiles (size * size, tiles * channels) of outputs to images (n, size * rows, size *
        columns, channels)."""
        count = self.images.stop - self.images.start
        rows = (self.rows.stop - self.rows.start) // self.size
        squares = tiles.view(self.size, self.size, count, rows, self.columns, -1)
        return squares.permute(2, 3, 0, 4, 1, 5).reshape(
            count, rows * self.size, self.columns * self.size, -1
        )


def _bands(x: Tensor, size: int) -> Iterator[_Band]:
    count, _, height, width = x.shape
    down, across = -(-height // size), -(-width // size)
    images = max(1, BAND // (down * across))
    rows = min(down, max(1, BAND // across))
    for image in range(0, count, images):
        for row in range(0, down, rows):
            yield _Band(
                size,
                slice(image, min(image + images, count)),
                slice(row * size, min(row + rows, down) * size),
                across,
            )


def _transform_inputs(x: Tensor, band: _Band, form: Form) -> Tensor:
    """(numbers of a tile, tiles, inputs)."""
    squares = band.split(x, len(form.inputs), 1)
    return product(both_axes(form.inputs), squares).view(form.numbers, -1, x.shape[1])
