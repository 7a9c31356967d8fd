"""How the tensors of a file meet those of a network, and how that is told (spec 3.9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from vatrack.common.counted import counted, few
from vatrack.weights.class_rows import ClassRows

LEFT_OVERS = tuple(f"mu{i}" for i in range(5))  # unused buffers of published checkpoints (quirk M2)


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
        lines = [f"{counted(len(self.copied), 'tensor')} copied"]
        groups = (
            ("matched by class", self.by_class),
            ("with a different shape, left unchanged", tuple(self.left)),
            ("missing in the file", tuple(name for name in self.absent if not is_counter(name))),
            ("not used", (*self.unused, *self.ignored)),
        )
        for title, names in groups:
            if names:
                lines.append(f"{len(names)} {title}: {few(names, 6)}")
        text = "; ".join([*lines, *self.notes])
        return f"{text}\n{self.classes}" if self.classes else text

    @property
    def fills_backbone(self) -> bool:
        """Whether the file has a backbone; one that has a part of it is refused."""
        return any(component_of(name) == "backbone" for name in self.copied)

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
        counts = {title: Counter(map(component_of, names)) for title, names in columns.items()}
        components = sorted(set().union(*counts.values()), key=_order)
        if initial:
            counts["left random"] = Counter(map(component_of, self.random))
        width = max(map(len, [*components, "part"]))
        head = "  ".join([f"{'part':<{width}}", *counts])
        rows = [
            [
                f"{component:<{width}}",
                *(f"{count[component]:>{len(title)}}" for title, count in counts.items()),
            ]
            for component in components
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


COMPONENTS = ("backbone", "neck", "rpn_head")
OTHER = "other names"


def component_of(name: str) -> str:
    """backbone, neck, rpn_head, roi_head.<head>; other names together."""
    words = name.split(".")
    if words[0] == "roi_head" and len(words) > 2:
        return ".".join(words[:2])
    return words[0] if words[0] in COMPONENTS else OTHER


def _order(component: str) -> tuple[int, str]:
    """For sorting: in the order of the computation."""
    ranks = {name: rank for rank, name in enumerate(COMPONENTS)}
    return ranks.get(component, len(COMPONENTS) + (component == OTHER)), component


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
