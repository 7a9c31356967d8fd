"""Initial weights from files: a backbone in torchvision's format, or whatever fits of another
detector (spec 3.9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.config.classes import SAILVOS, ClassList
from vatrack.weights.checksum import refuse_broken_values
from vatrack.weights.class_rows import (
    OUTPUT_LAYERS,
    ClassRows,
    classes_of,
    layer_of,
    tensors_by_class,
)
from vatrack.weights.tensors import BACKBONE, read_weights
from vatrack.weights.transfer import Transfer, compare, component_of, is_counter

CLASSIFIER = ("fc.weight", "fc.bias")
# The amodal heads and the visible ones that they may start from (quirk M4).
TWINS = {
    "roi_head.amodal_bbox_head.": "roi_head.bbox_head.",
    "roi_head.amodal_mask_head.": "roi_head.mask_head.",
}


def is_bare_backbone(weights: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a residual network alone, as torchvision and OpenMMLab's model
    zoo give them."""
    return "layer1.0.conv1.weight" in weights


def check_backbone(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> None:
    """Compares a file with a trunk; every tensor of the trunk must be there, and nothing of another
    trunk.

    Raises:
        InputError: the file is of another backbone, or of another kind of norm.
    """
    transfer = compare(
        own, {name: value for name, value in weights.items() if name not in CLASSIFIER}
    )
    missing = [name for name in transfer.absent if not is_counter(name)]
    wrong = [*missing, *transfer.mismatched, *transfer.unused]
    if wrong:
        raise InputError(
            f"{path}: not weights of this backbone; {counted(len(missing), 'tensor')} missing, "
            f"{len(transfer.mismatched)} of a different shape, {len(transfer.unused)} of no layer "
            f"of it; first: {wrong[0]}; check the backbone and model.norm"
        )


def fitted(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path
) -> tuple[Mapping[str, Tensor], Transfer]:
    """The tensors of a file by the names of a detector, and what of them fits where.

    A backbone alone goes into the detector's (the published code matches no tensor, quirk M3).

    Args:
        own: of the detector that shall start from the file.

    Raises:
        InputError: see `check_backbone` and `check_initial`.
    """
    if is_bare_backbone(weights):
        trunk = {
            name.removeprefix(BACKBONE): value
            for name, value in own.items()
            if name.startswith(BACKBONE)
        }
        check_backbone(trunk, weights, path)
        weights = {
            f"{BACKBONE}{name}" if name in trunk else name: value for name, value in weights.items()
        }
    return weights, check_initial(own, weights, path)


def check_initial(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> Transfer:
    """Compares a file with a network that shall start from it.

    The published loading skips whatever does not fit without a word (quirk M5). Here that is
    reported, and stops where it cannot be meant: only layers whose shape goes with the number of
    classes may differ, and a backbone comes whole or not at all.

    Raises:
        InputError: nothing fits, or something other than expected does not.
    """
    transfer = compare(own, weights)
    if not transfer.copied:
        raise InputError(
            f"{path}: no tensor fits this network; use a checkpoint of a detector with a feature "
            "pyramid, or of a backbone"
        )
    wrong = [
        f"{name}: {text}"
        for name, text in transfer.mismatched.items()
        if layer_of(name) not in OUTPUT_LAYERS
    ]
    if transfer.fills_backbone:
        lost = [name for name in transfer.absent if not is_counter(name)]
        wrong += [f"{name}: not in the file" for name in lost if component_of(name) == "backbone"]
        wrong += [
            f"{name}: not in this network"
            for name in transfer.unused
            if component_of(name) == "backbone"
        ]
    if wrong:
        raise InputError(
            f"{path}: a network with different layer sizes: no place for "
            f"{counted(len(wrong), 'tensor')}, first: {wrong[0]}; use the backbone and the model "
            "widths of the file"
        )
    return transfer


def load_initial(model: nn.Module, path: Path, classes: ClassList = SAILVOS) -> Transfer:
    """Copies every tensor whose name and shape fit, as the published non-strict loading does.

    A backbone alone fills the backbone. Where it is a checkpoint of ours of other classes, the rows
    of the layers that go with a class (`OUTPUT_LAYERS`) are copied for classes of the same name and
    for the background; the rows of other classes keep their random start.

    Args:
        classes: of the network.

    Raises:
        InputError: see `fitted`.
    """
    own = model.state_dict()
    file = read_weights(path, own)
    weights, transfer = fitted(own, file.weights, path)
    transfer = replace(transfer, notes=file.notes)
    source = classes_of(file.meta)
    if source is not None and source != classes:
        transfer = with_classes(transfer, weights, ClassRows(classes, source))
    used = {name: weights[name] for name in (*transfer.copied, *transfer.by_class)}
    refuse_broken_values(used, path)
    _copy(own, {name: weights[name] for name in transfer.copied})
    if transfer.classes:
        transfer.classes.copy(own, {name: weights[name] for name in transfer.by_class})
    return transfer


def with_classes(transfer: Transfer, weights: Mapping[str, Tensor], rows: ClassRows) -> Transfer:
    """The same transfer, with the output layers that are copied class by class."""
    fitting = tensors_by_class(weights, (*transfer.copied, *transfer.mismatched), rows.source)
    copied = tuple(name for name in transfer.copied if name not in fitting)
    return replace(transfer, copied=copied, by_class=fitting, classes=rows if fitting else None)


def copy_visible_to_amodal(model: nn.Module, loaded: Iterable[str]) -> tuple[str, ...]:
    """Starts amodal heads like the visible ones: the switch of quirk M4.

    Args:
        loaded: names of the tensors that a file gave. Only such tensors of a visible head are
            copied, and only to places of the amodal head that the file left random.

    Returns:
        Names of the tensors of amodal heads that were filled.
    """
    own, given = model.state_dict(), set(loaded)
    sources = {}
    for amodal, visible in TWINS.items():
        for name in own:
            twin = visible + name.removeprefix(amodal)
            if name.startswith(amodal) and name not in given and twin in given:
                sources[name] = own[twin]
    _copy(own, sources)
    return tuple(sources)


@torch.no_grad()
def _copy(own: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        own[name].copy_(value)
