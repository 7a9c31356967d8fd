"""Which method and backbone a file with OpenMMLab's names is of, told by its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Method, ModelConfig, RunConfig
from vatrack.models.detector import build
from vatrack.weights.initial import is_bare_backbone
from vatrack.weights.tensors import BACKBONE, weights_in
from vatrack.weights.transfer import describe_shape

# (blocks of layer3, groups of the 3x3 convolutions, 3x3 convolution in the middle of each block) of
# a trunk.
TRUNKS = {
    (2, 1, False): str(Backbone.RESNET18),
    (6, 1, True): str(Backbone.RESNET50),
    (23, 64, True): str(Backbone.RESNEXT101),
    (6, 1, False): "resnet34",
    (23, 1, True): "resnet101",
    (6, 32, True): "resnext50_32x4d",
    (23, 32, True): "a ResNeXt-101 with 32 groups",
    (36, 1, True): "resnet152",
}


def recognise_method(
    content: Any, source: Path, key: str | None = None
) -> tuple[tuple[Method, ...], Backbone]:
    """The methods that a file with OpenMMLab's names may be of, and its backbone.

    Args:
        content: what `read_file` has read from `source`.

    Raises:
        InputError: it holds no network of one of the methods.
    """
    weights = weights_in(content, source, _all_names(), key).weights
    methods, trunk = methods_of(weights), _trunk(weights, BACKBONE)
    tracks = "roi_head.track_head.fc_embed.weight" in weights
    if not methods or not tracks or trunk not in tuple(map(str, Backbone)):
        lacks = "no track head" if methods and not tracks else f"{trunk}"
        raise InputError(
            f"{source}: contains no network of {', '.join(map(str, Method))} with "
            f"{' or '.join(map(str, Backbone))} ({lacks}; its first tensor is "
            f"{next(iter(weights))}); give a checkpoint of one of them"
        )
    return tuple(map(Method, methods)), Backbone(trunk)


@cache
def _all_names() -> frozenset[str]:
    """The names of the tensors of every method with every backbone: those of the largest."""
    with torch.device("meta"):  # no memory, no random numbers
        largest = build(Method.VATRACK_2BBOX, ModelConfig(), Backbone.RESNEXT101)
    return frozenset(largest.state_dict())


def remedy(weights: Mapping[str, Tensor], run: RunConfig) -> str:
    """What the file looks like, and what to do with it."""
    if is_bare_backbone(weights):
        return (
            f"it contains only a backbone ({_trunk(weights, '')}); --partial imports it as initial "
            "weights"
        )
    methods = methods_of(weights)
    if not methods:
        return (
            "it does not have the tensor names of an OpenMMLab detector (first tensor: "
            f"{next(iter(weights))})"
        )
    trunk = _trunk(weights, BACKBONE)
    classes = weights.get("roi_head.bbox_head.fc_cls.weight")
    if classes is not None and len(classes) != len(run.class_list) + 1:
        return (
            f"it looks like a detector of {counted(len(classes) - 1, 'class')} with {trunk}; "
            "--partial imports what fits as initial weights; with --class NAME for each of its "
            "classes it is imported as it is"
        )
    if "roi_head.track_head.fc_embed.weight" not in weights:
        return (
            f"it looks like a detector without a track head, with {trunk}; --partial imports what "
            "fits as initial weights"
        )
    choices = " or ".join(f"--method {method}" for method in methods)
    shown = " or ".join(methods)
    if trunk != str(run.backbone) and trunk in tuple(map(str, Backbone)):
        choices += f" --backbone {trunk}"
    if run.method in methods and trunk == str(run.backbone):
        return (
            f"it looks like {shown} with {trunk} with other layer widths, or truncated; give the "
            "widths with --config"
        )
    return f"it looks like {shown} with {trunk}: use {choices}"


def methods_of(weights: Mapping[str, Tensor]) -> list[str]:
    """The methods whose heads the file has; two of them share one network."""
    heads = {name.split(".")[1] for name in weights if name.startswith("roi_head.")}
    if "amodal_bbox_head" in heads:
        return [str(Method.VATRACK_2BBOX)]
    if "amodal_mask_head" in heads:
        return [str(Method.VATRACK)]
    return [str(Method.QDTRACK), str(Method.AMODALTRACK)] if "mask_head" in heads else []


def _trunk(weights: Mapping[str, Tensor], prefix: str) -> str:
    """The name of the residual network whose tensors begin with `prefix`."""
    pattern = re.compile(re.escape(prefix) + r"layer3\.(\d+)\.conv1\.weight")
    blocks = len({match[1] for name in weights if (match := pattern.fullmatch(name))})
    middle = weights.get(f"{prefix}layer3.0.conv2.weight")
    if not blocks or middle is None or middle.dim() != 4:
        return "no residual network"
    deep = f"{prefix}layer3.0.conv3.weight" in weights
    groups = len(middle) // max(1, middle.shape[1])
    found = (
        f"a residual network of {counted(blocks, 'block')} in layer3 and "
        f"{counted(groups, 'group')} ({describe_shape(middle)})"
    )
    return TRUNKS.get((blocks, groups, deep), found)
