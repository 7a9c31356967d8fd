"""Layers with weights in oneDNN's own order, for a network in float32 that changes no more.

`conv2d` brings the weights into that order at every call, gives 1x1 convolutions of one image to
another library, and leaves ReLU and the sum of a residual block to passes over memory of their own.
The operators here, which `torch.compile` uses, do all of it at once. They are private, so they are
used only where they are there and give what the ordinary ones give.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torchvision.models.resnet import BasicBlock, Bottleneck

from vatrack.models.fpn import FeaturePyramid
from vatrack.models.winograd import WinogradConv2d

_LARGEST_ERROR = 1e-4  # of numbers about 1, in the test of the operators


class _Packed(nn.Module):
    """Of weights in oneDNN's order there are no copies: a copy, also one for another process, has
    them in PyTorch's order until its first call."""

    weight: Tensor | None
    packed: Tensor

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if (packed := state.pop("packed", None)) is not None:
            state["weight"] = packed.to_dense()
        return state


class PackedConv2d(_Packed):
    """A convolution whose weights are brought into order at the first call, for that image size.

    Another size is slower, not wrong.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        assert not isinstance(layer.padding, str)
        self.weight = layer.weight.detach()
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.form = list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups

    def _packed(self, x: Tensor) -> Tensor:
        weight = self.weight
        if weight is not None:
            self.packed = torch.ops.aten.mkldnn_reorder_conv2d_weight(
                weight.contiguous().to_mkldnn(), *self.form, list(x.shape)
            )
            self.weight = None
        return self.packed

    def forward(self, x: Tensor, *, relu: bool = False) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h', w'), in the order of x in memory."""
        if not x.is_contiguous(memory_format=torch.channels_last):
            found = self.blocked(x.contiguous().to_mkldnn())
            return (found.relu_() if relu else found).to_dense()
        after = "relu" if relu else "none"
        found = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed(x), self.bias, *self.form, after, [], ""
        )
        return found

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """`total` (n, outputs, h', w') becomes the ReLU of itself and the outputs; channels come
        last in memory."""
        found: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            total, x, self._packed(x), self.bias, *self.form, "add", 1.0, "relu", [], ""
        )
        return found

    def blocked(self, x: Tensor) -> Tensor:
        """Of a tensor in oneDNN's order to another one."""
        padding, stride, dilation, groups = self.form
        return torch.mkldnn_convolution(
            x, self._packed(x), self.bias, padding, stride, dilation, groups
        )


class PackedLinear(_Packed):
    """A linear layer, its weights brought into order at the first call, for that number of rows."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = weight.detach()
        self.bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor, *, relu: bool = False) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        weight = self.weight
        if weight is not None:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(
                weight.contiguous(), len(x) or None
            )
            self.weight = None
        after = "relu" if relu else "none"
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, after, [], "")
        return found


class _Block(nn.Module):
    """A residual block of torchvision whose norms are folded."""

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        names = [f"conv{number}" for number in (1, 2, 3) if hasattr(block, f"conv{number}")]
        *before, self.last = (_packed(block.get_submodule(name)) for name in names)
        self.before = nn.ModuleList(before)
        self.downsample = None if block.downsample is None else _packed(block.downsample[0])


class _FusedBlock(_Block):
    """With ReLU and sum in the convolutions; channels come last in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h', w'); without a downsample, x is written over."""
        total = _channels_last(x) if self.downsample is None else self.downsample(x)
        for layer in self.before:
            x = layer(x, relu=True) if isinstance(layer, PackedConv2d) else layer(x).relu_()
            x = _channels_last(x)
        if isinstance(self.last, PackedConv2d):
            return self.last.add_to(total, x)
        outputs: Tensor = self.last(x)
        return outputs.add_(total).relu_()


class _BlockedBlock(_Block):
    """In oneDNN's own order, the only one in which convolutions of many groups are fast."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h', w'), both in oneDNN's order."""
        total = x if self.downsample is None else _blocked(self.downsample, x)
        for layer in self.before:
            x = _blocked(layer, x).relu_()
        return _blocked(self.last, x).add_(total).relu_()


class _BlockedStage(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h', w')."""
        x = x.contiguous().to_mkldnn()
        for block in self:
            x = block(x)
        return x.to_dense()


def _packed(layer: nn.Module) -> nn.Module:
    """Winograd's form stays: it is faster still."""
    assert isinstance(layer, nn.Conv2d)
    return layer if isinstance(layer, WinogradConv2d) else PackedConv2d(layer)


def _blocked(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, PackedConv2d)  # Winograd's form has no groups
    return layer.blocked(x)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def pack(network: nn.Module) -> None:
    """Changes residual trunks with folded norms, lateral convolutions and linear layers.

    The network is in float32 on a CPU, and is not trained any more.
    """
    if not available():
        return
    for module in list(network.modules()):
        if isinstance(module, FeaturePyramid):
            for lateral in module.lateral_convs:
                lateral.set_submodule("conv", _packed(lateral.get_submodule("conv")))
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Sequential) and all(map(_folded, child)):
                module.set_submodule(name, _stage(child))
            elif isinstance(child, nn.Linear):
                module.set_submodule(name, PackedLinear(child.weight, child.bias))


def _folded(block: nn.Module) -> bool:
    """Whether it is a residual block without norms of its own."""
    if not isinstance(block, BasicBlock | Bottleneck):
        return False
    return not any(isinstance(layer, nn.BatchNorm2d | nn.GroupNorm) for layer in block.modules())


def _stage(blocks: nn.Sequential) -> nn.Sequential:
    if any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in blocks.modules()):
        return _BlockedStage(*map(_BlockedBlock, blocks))
    return nn.Sequential(*map(_FusedBlock, blocks))


@cache
def available() -> bool:
    """Whether this PyTorch has the operators for this processor, and their results are right."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        with torch.inference_mode():
            return all(bool(error.abs().max() < _LARGEST_ERROR) for error in _errors())
    except (AttributeError, RuntimeError):
        return False


def _errors() -> Iterator[Tensor]:
    x = _channels_last(torch.arange(32 * 12 * 12.0).view(1, 32, 12, 12).sin())
    weight = torch.arange(32 * 32 * 9.0).view(32, 32, 3, 3).cos() / 16
    bias = torch.arange(32.0).sin()
    layer, grouped = _layer(weight, bias, 1), _layer(weight[:, :8], bias, 4)
    wanted, packed = layer(x), PackedConv2d(layer)
    yield packed(x, relu=True) - wanted.relu()
    yield packed.add_to(x.cos(), x) - (wanted + x.cos()).relu()
    total = x.cos().contiguous()
    found = PackedConv2d(grouped).blocked(x.contiguous().to_mkldnn())
    yield found.add_(total.to_mkldnn()).relu_().to_dense() - (grouped(x) + total).relu()
    matrix, rows = weight.flatten(1), x.reshape(16, 288)
    yield PackedLinear(matrix, bias)(rows) - linear(rows, matrix, bias)


def _layer(weight: Tensor, bias: Tensor, groups: int) -> nn.Conv2d:
    """A 3x3 convolution with these weights; no random number is drawn."""
    layer = nn.Conv2d(32, 32, 3, padding=1, groups=groups, device="meta")
    layer.weight, layer.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    return layer
