"""Matrix products in float32 on a CPU by oneDNN, and the layers that are nothing but a product.

PyTorch gives products to MKL, also 1x1 convolutions where one thread computes; on processors of
other makers than Intel, MKL leaves AVX-512 unused and takes up to twice as long as oneDNN. oneDNN's
products are called through a private operator, so they are used only where they are there and give
what the ordinary ones give; elsewhere the same layers take PyTorch's.
"""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vatrack.models.memory_order import channels_last

_LARGEST_ERROR = 1e-4  # of numbers about 1, in the test of the operators
_PROCESSOR = Path("/proc/cpuinfo")
_INTEL = "GenuineIntel"
_FEW_ROWS = 16
_FULL_WIDTH = 26  # family of AMD's processors


@cache
def available() -> bool:
    """Whether oneDNN's products are the faster ones on this processor, and are right."""
    if not (torch.backends.mkldnn.is_available() and _mkl_is_slow()):
        return False
    try:
        with torch.inference_mode():
            left = torch.arange(24 * 40.0).view(24, 40).sin()
            right = torch.arange(40 * 32.0).view(40, 32).cos() / 8
            error = _linear(left, right.t(), None) - left @ right
    except (AttributeError, RuntimeError):
        return False
    return bool(error.abs().max() < _LARGEST_ERROR)  # False for what is not a number, too


def _mkl_is_slow() -> bool:
    """Whether the processor has AVX-512, and its maker is not Intel."""
    return bool(_processor()) and _INTEL not in _processor()


@cache
def full_width() -> bool:
    """Whether products compute all of AVX-512's width at once: MKL's on Intel's processors,
    oneDNN's on AMD's from Zen 5 on."""
    if _INTEL in _processor():
        return True
    family = re.search(r"cpu family\s*: (\d+)", _processor())
    return available() and family is not None and int(family[1]) >= _FULL_WIDTH


def _processor() -> str:
    """What the system says of an x86 processor that has AVX-512; empty for others."""
    if platform.machine() != "x86_64" or "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return ""
    return _PROCESSOR.read_text(errors="replace") if _PROCESSOR.is_file() else ""


def possible(x: Tensor, weight: Tensor) -> bool:
    """Whether a layer can take a form of its own: a batch in float32 on a CPU, not empty."""
    return (
        x.device.type == "cpu"
        and x.ndim == weight.ndim
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def product(left: Tensor, right: Tensor) -> Tensor:
    """(n, k) and (k, m) to (n, m), without a gradient."""
    if available():
        return _linear(_dense(left), _dense(right).t(), None)
    if len(left) < _FEW_ROWS:  # MKL would sum parts of them, as many as there are threads
        return (right.t() @ left.t()).t()
    return left @ right


def _dense(matrix: Tensor) -> Tensor:
    """Without gaps in memory: oneDNN takes a hundred times as long for one that has some."""
    return matrix if matrix.t().is_contiguous() else matrix.contiguous()


def products(left: Tensor, right: Tensor) -> Tensor:
    """(b, n, k) and (b, k, m) to (b, n, m), for few and large matrices, without a gradient."""
    if not available():
        return torch.bmm(left, right)
    return torch.stack(list(map(product, left, right)))


def add_products(total: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """The same, added to `total` in place where there is one."""
    if total is None:
        return products(left, right)
    if not available():
        return total.baddbmm_(left, right)
    for target, one, other in zip(total, left, right, strict=True):
        target += product(one, other)
    return total


class ProductLinear(nn.Linear):
    """The same layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        if not possible(x, self.weight):
            return super().forward(x)
        return _applied(x, self.weight, self.bias)


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution: a product of its matrix and the pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h', w'); in memory the channels come last."""
        if not possible(x, self.weight):
            return super().forward(x)
        down, across = self.stride
        # Cut in this order, or the gradient would have the columns last in memory.
        taken = channels_last(x).permute(0, 2, 3, 1)[:, ::down, ::across]
        rows = taken.reshape(-1, self.in_channels)
        found = _applied(rows, self.weight, self.bias)
        return found.view(*taken.shape[:3], -1).permute(0, 3, 1, 2)


class PointwiseConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution whose outputs do not overlap: a pixel makes a square of its own."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, s h, s w); in memory the channels come last."""
        if not possible(x, self.weight):
            return super().forward(x, output_size)
        count, inputs, height, width = x.shape
        down, across = self.stride
        rows = channels_last(x).permute(0, 2, 3, 1).reshape(-1, inputs)
        matrix = self.weight.permute(2, 3, 1, 0).reshape(-1, inputs).contiguous()
        bias = None if self.bias is None else self.bias.repeat(down * across)
        squares = _applied(rows, matrix, bias).view(count, height, width, down, across, -1)
        pixels = squares.transpose(2, 3).reshape(count, height * down, width * across, -1)
        return pixels.permute(0, 3, 1, 2)


def use_products(network: nn.Module) -> None:
    """Lets all layers of a network that are products be computed as such on a CPU.

    Names, order and values of its parameters stay.
    """
    for layer in network.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = ProductLinear  # the same parameters, hooks and name
        elif type(layer) is nn.Conv2d and _pointwise(layer):
            layer.__class__ = PointwiseConv2d
        elif type(layer) is nn.ConvTranspose2d and _apart(layer):
            layer.__class__ = PointwiseConvTranspose2d


def _pointwise(layer: nn.Conv2d) -> bool:
    return (layer.kernel_size, layer.padding, layer.groups) == ((1, 1), (0, 0), 1)


def _apart(layer: nn.ConvTranspose2d) -> bool:
    form = layer.padding, layer.output_padding, layer.dilation, layer.groups
    return layer.kernel_size == layer.stride and form == ((0, 0), (0, 0), (1, 1), 1)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def _applied(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    found: Tensor = _Product.apply(rows, weight, bias)
    return found


class _Product(torch.autograd.Function):
    """(n, inputs), (outputs, inputs) or (outputs, inputs, 1, 1), and (outputs,) to (n, outputs)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        matrix = weight.flatten(1)
        if available():
            return _linear(_dense(rows), _dense(matrix), bias)
        return nn.functional.linear(rows, matrix, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        for_rows, for_weight, for_bias = ctx.needs_input_grad
        gradient = gradient.contiguous()  # that of a sum is one number
        of_weight = None
        if for_weight:
            of_weight = _outer(gradient, rows)
            if weight.ndim == 4:  # strides of its own, as DDP wants them, also after an addition
                of_weight = torch.empty_like(weight).copy_(of_weight[:, :, None, None])
        return (
            product(gradient, weight.flatten(1)) if for_rows else None,
            of_weight,
            gradient.sum(0) if for_bias else None,
        )


def _outer(gradient: Tensor, rows: Tensor) -> Tensor:
    """(n, outputs) and (n, inputs) to (outputs, inputs)."""
    if gradient.shape[1] <= rows.shape[1]:  # oneDNN turns the one on the left in memory
        return product(gradient.t(), rows)
    return product(rows.t(), gradient).t()
