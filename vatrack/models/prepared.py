"""The copy of a network that inference uses: the same function, computed sooner.

What is done to the copy, each of it at rounding level in float32 (the plain network stays the
measure, and is used where `prepare` is not called):

- batch norms become part of the convolutions in front of them; group norms stay;
- 3x3 convolutions take Winograd's form on a CPU (`compute.winograd`), with kernels transformed
  once; regions of mask heads are stitched into one large map, which the larger tiles suit;
- other layers on a CPU have weights in oneDNN's order, with ReLU and sums inside;
- channels come last in memory: on a CPU, and on a GPU with TF32 or a short type;
- with a short type the weights of convolutions and linear layers are rounded once, not for every
  frame.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vatrack.common.device import mixed_type
from vatrack.config import ComputeConfig
from vatrack.models.packed import pack
from vatrack.models.products import use_products
from vatrack.models.stitched import stitch_mask_heads
from vatrack.models.winograd import use_winograd

Network = TypeVar("Network", bound=nn.Module)


def prepare(network: Network, compute: ComputeConfig, device: torch.device) -> Network:
    """A copy for inference with the weights as they are now, in evaluation mode.

    Args:
        network: on `device`; it does not change.
        compute: `precision`, `tf32` and `winograd` count.
    """
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    _fold_batch_norms(prepared)
    short = mixed_type(compute.precision, device)
    if short is not None:
        _round_weights(prepared, short)
    elif compute.winograd and device.type == "cpu":
        use_winograd(prepared, frozen=True)
        use_products(prepared)
        stitch_mask_heads(prepared)
    if short is None and device.type == "cpu":
        pack(prepared)
    if device.type == "cpu" or short is not None or compute.tf32:
        prepared.to(memory_format=torch.channels_last)
    return prepared


def _fold_batch_norms(network: nn.Module) -> None:
    """Batch norms follow the convolution that was registered before them."""
    for module in list(network.modules()):
        before: tuple[str, nn.Module] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and before is not None:
                name_before, convolution = before
                assert isinstance(convolution, nn.Conv2d)
                assert convolution.out_channels == child.num_features
                setattr(module, name_before, fuse_conv_bn_eval(convolution, child))
                setattr(module, name, nn.Identity())
            before = (name, child)


def _round_weights(network: nn.Module, short: torch.dtype) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.to(short)
