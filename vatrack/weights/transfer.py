"""Initial weights from files: a backbone in torchvision's format, or whatever fits of another
detector (spec 3.9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

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

CLASSIFIER = ("fc.weight", "fc.bias")
LEFT_OVERS = tuple(f"mu{i}" for i in range(5))  # unused buffers of published checkpoints (quirk M2)
# The amodal heads and the visible ones that they may start from (quirk M4).
TWINS = {
    "roi_head.amodal_bbox_head.": "roi_head.bbox_head.",
    "roi_head.amodal_mask_head.": "roi_head.mask_head.",
}


@dataclass(frozen=True)
class Transfer:
    """What goes where: names of tensors.

    Attributes:
        copied: tensors of the network that the file has.
        mismatched: those that the file has with another shape or kind of number, and what is
            different. The network keeps its own.
        absent: tensors of the network that the file does not have. The network keeps its own.
        unused: tensors of the file that the network does not have.
        ignored: of these, known left-overs that no network uses (quirk M2).
        notes: how the tensors were found in the file (`WeightFile`).
        by_class: of `mismatched`, those of which rows go with classes, and some rows were copied.
        classes: what became of the classes, where the file has others.
    """

    copied: tuple[str, ...]
    mismatched: Mapping[str, str]
    absent: tuple[str, ...]
    unused: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    by_class: tuple[str, ...] = ()
    classes: ClassRows | None = None

    @property
    def random(self) -> tuple[str, ...]:
        """Tensors of the network that keep their random start, without the counters of batch norm,
        which nothing reads."""
        return tuple(name for name in (*self.left, *self.absent) if not is_counter(name))

    def __str__(self) -> str:
        lines = [f"{len(self.copied)} tensors copied"]
        groups = (
            ("matched by class", self.by_class),
            ("with a different shape, left unchanged", tuple(self.left)),
            ("missing in the file", tuple(name for name in self.absent if not is_counter(name))),
            ("not used", (*self.unused, *self.ignored)),
        )
        for title, names in groups:
            if names:
                shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
                lines.append(f"{len(names)} {title}: {shown}")
        text = "; ".join([*lines, *self.notes])
        return f"{text}\n{self.classes}" if self.classes else text

    @property
    def fills_backbone(self) -> bool:
        """Whether the file has a backbone; one that has a part of it is refused."""
        return any(part_of(name) == "backbone" for name in self.copied)

    def table(self, *, initial: bool = False) -> str:
        """Numbers of tensors for each part of the network; with `initial` also of those that start
        at random."""
        columns: dict[str, tuple[str, ...]] = {
            "copied": self.copied,
            "other shape": tuple(self.left),
            "missing": self.absent,
            "unused": (*self.unused, *self.ignored),
        }
        if self.by_class:
            columns = {"copied": self.copied, "by class": self.by_class, **columns}
        counts = {title: Counter(map(part_of, names)) for title, names in columns.items()}
        parts = sorted(set().union(*counts.values()), key=_place)
        if initial:
            counts["left random"] = Counter(map(part_of, self.random))
        width = max(map(len, [*parts, "part"]))
        head = "  ".join([f"{'part':<{width}}", *counts])
        rows = [
            [
                f"{part:<{width}}",
                *(f"{count[part]:>{len(title)}}" for title, count in counts.items()),
            ]
            for part in parts
        ]
        lines = [head, *map("  ".join, rows)]
        return "\n".join([*lines, str(self.classes)] if self.classes else lines)

    @property
    def left(self) -> dict[str, str]:
        """`mismatched` without those of which rows were copied."""
        return {k: v for k, v in self.mismatched.items() if k not in self.by_class}

    def names(self, shown: int | None = None) -> str:
        """Every name but those of copied tensors, or the first few of each group."""
        lines = []
        for title, names in self._groups().items():
            if names:
                left = [] if shown is None or len(names) <= shown else ["..."]
                lines.append("\n  ".join([f"{title} ({len(names)}):", *names[:shown], *left]))
        return "\n".join(lines)

    def longest(self) -> int:
        """The number of names in the largest group of `names`."""
        return max(map(len, self._groups().values()))

    def _groups(self) -> dict[str, list[str]]:
        return {
            "other shape": [f"{name} ({difference})" for name, difference in self.left.items()],
            "missing": list(self.absent),
            "unused": list(self.unused),
            "ignored, not used by any network": list(self.ignored),
        }


PARTS = ("backbone", "neck", "rpn_head")
OTHER = "other names"


def part_of(name: str) -> str:
    """backbone, neck, rpn_head, roi_head.<head>; other names together."""
    words = name.split(".")
    if words[0] == "roi_head" and len(words) > 2:
        return ".".join(words[:2])
    return words[0] if words[0] in PARTS else OTHER


def _place(part: str) -> tuple[int, str]:
    """For sorting: in the order of the computation."""
    return (PARTS.index(part) if part in PARTS else len(PARTS) + (part == OTHER)), part


def is_counter(name: str) -> bool:
    """Whether it counts the batches that a batch norm has seen; no result depends on it, and old
    files do without."""
    return name.endswith("num_batches_tracked")


def describe_shape(value: Tensor) -> str:
    """The shape for messages, "256x3x3"."""
    return "x".join(map(str, value.shape)) or "a number"


def compare(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Transfer:
    """How the tensors of a file meet those of a network; only names, shapes and dtypes are looked
    at."""
    mismatched = {}
    for name, value in weights.items():
        if name not in own:
            continue
        if value.shape != own[name].shape:
            mismatched[name] = (
                f"{describe_shape(value)} in the file, {describe_shape(own[name])} expected"
            )
        elif _sort(value) != _sort(own[name]):
            mismatched[name] = f"{value.dtype} in the file, {own[name].dtype} expected"
    return Transfer(
        tuple(name for name in weights if name in own and name not in mismatched),
        mismatched,
        tuple(name for name in own if name not in weights),
        tuple(name for name in weights if name not in own and name not in LEFT_OVERS),
        tuple(name for name in weights if name not in own and name in LEFT_OVERS),
    )


def _sort(value: Tensor) -> tuple[bool, bool]:
    """Which types of number may stand for each other."""
    return value.is_floating_point(), value.is_complex()


def is_bare_backbone(weights: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a residual network alone, as torchvision and OpenMMLab's model
    zoo give them."""
    return "layer1.0.conv1.weight" in weights


def check_backbone(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path
) -> Transfer:
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
            f"{path}: not weights of this backbone; {len(missing)} tensors are missing, "
            f"{len(transfer.mismatched)} have a different shape, {len(transfer.unused)} belong to "
            f"none of its layers; first: {wrong[0]}; check the backbone and model.norm"
        )
    return transfer


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
        wrong += [f"{name}: not in the file" for name in lost if part_of(name) == "backbone"]
        wrong += [
            f"{name}: not in this network"
            for name in transfer.unused
            if part_of(name) == "backbone"
        ]
    if wrong:
        raise InputError(
            f"{path}: a network with different layer sizes: {len(wrong)} tensors do not fit, "
            f"first: {wrong[0]}; use the backbone and the model widths of the file"
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
