"""The block that pyramid, mask heads and embedding head are made of."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def conv_block(
    inputs: int, outputs: int, kernel: int, *, groups: int | None = None, relu: bool = False
) -> nn.Sequential:
    """Convolution that keeps the size; with `groups` it has a group norm in place of a bias."""
    modules: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=groups is None))
    ]
    if groups is not None:
        modules.append(("gn", nn.GroupNorm(groups, outputs)))
    if relu:
        modules.append(("relu", nn.ReLU(inplace=True)))
    return nn.Sequential(OrderedDict(modules))
