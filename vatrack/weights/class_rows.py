"""Output layers that go with classes: their rows are taken over for classes of the same name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vatrack.config.classes import SAILVOS, ClassList, names_problem
from vatrack.weights.formats import OURS

# The layers whose shape goes with the number of classes.
OUTPUT_LAYERS = ("fc_cls", "fc_reg", "conv_logits")


@dataclass(frozen=True)
class ClassRows:
    """Which rows a network of some classes takes from a file of other classes.

    Attributes:
        classes: of the network; `source`: of the file.
    """

    classes: ClassList
    source: ClassList

    @property
    def taken(self) -> tuple[str, ...]:
        """The classes whose rows come from the file."""
        known = set(self.source.names)
        return tuple(name for name in self.classes.names if name in known)

    def rows(self, name: str) -> tuple[list[int], list[int]]:
        """Which rows of a tensor of `OUTPUT_LAYERS` are copied: in the network, in the file.

        A regressor has four rows for each class; the classifier has one, and one for the
        background behind the classes.
        """
        own, other = (
            {one: row for row, one in enumerate(each.names)} for each in (self.classes, self.source)
        )
        pairs = [(own[one], other[one]) for one in self.taken]
        if layer_of(name) == "fc_cls":
            pairs.append((len(own), len(other)))
        count = 4 if layer_of(name) == "fc_reg" else 1
        rows = [
            (count * first + row, count * second + row)
            for first, second in pairs
            for row in range(count)
        ]
        return [row for row, _ in rows], [row for _, row in rows]

    @torch.no_grad()
    def copy(self, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        """Copies the rows of tensors by name into those of a network."""
        for name, value in weights.items():
            rows, others = self.rows(name)
            own[name][rows] = value[others].to(own[name])

    def __str__(self) -> str:
        groups = {
            "taken from the file": self.taken,
            "start fresh": self.classes.missing_in(self.source),
            "in the file but not used": self.source.missing_in(self.classes),
        }
        lines = [
            f"  {title} ({len(names)}): {ClassList(names)}" if names else f"  {title} (0)"
            for title, names in groups.items()
        ]
        head = "classes of the output layers, matched by name (the background's row is also taken):"
        return "\n".join([head, *lines])


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to, without the path to it."""
    return f".{name}".split(".")[-2]


def tensors_by_class(
    weights: Mapping[str, Tensor], names: Collection[str], source: ClassList
) -> tuple[str, ...]:
    """Of the named tensors of a file, those that have the rows of its classes."""
    rows = {"fc_cls": len(source) + 1, "fc_reg": 4 * len(source), "conv_logits": len(source)}
    return tuple(
        name
        for name in names
        if layer_of(name) in rows
        and weights[name].dim()
        and len(weights[name]) == rows[layer_of(name)]
    )


def classes_of(meta: Mapping[str, Any]) -> ClassList | None:
    """The classes that a checkpoint of ours has; None: it is another file.

    Those of older versions do not name them: they are SAIL-VOS's.

    Args:
        meta: what the file says beside its tensors.
    """
    if not str(meta.get("format", "")).startswith(OURS):
        return None
    config = meta.get("config")
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except (ValueError, RecursionError):
            return None
    names = config.get("classes") if isinstance(config, Mapping) else None
    if names is None:
        return SAILVOS
    sound = isinstance(names, list | tuple) and not names_problem(names)
    return ClassList(tuple(names)) if sound else None
