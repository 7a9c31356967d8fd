"""Class lists: names in label order.

A label is a place in the list, from 0; the background follows the last class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.similar import meant
from vatrack.config.categories import CATEGORIES

SHOWN = 30  # names of a list in a message


def names_problem(names: Sequence[Any]) -> str | None:
    """What is wrong with the names of a class list; None: nothing."""
    if not names:
        return "a list of classes needs at least one name; add one"
    seen = set()
    for number, name in enumerate(names, 1):
        if not isinstance(name, str):
            return f"class {number} is {name!r:.40}, not a string; write names in quotation marks"
        if not name.strip():
            return f"class {number} has an empty name; give it a name"
        if any("\ud800" <= sign <= "\udfff" for sign in name):
            return f"class {number}, {shown_name(name)}, contains invalid characters; correct it"
        if name in seen:
            return f"class {shown_name(name)} is listed twice; keep one of them"
        seen.add(name)
    return None


def shown_name(name: str) -> str:
    """A name for messages: in one line, and shortened where it is long."""
    text = name if name.isprintable() else repr(name)[1:-1]
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"'{text}'"


@dataclass(frozen=True)
class ClassList:
    """The classes of a network or of a file: names in label order.

    Raises:
        InputError: there is no name, one is empty or occurs twice.

    Example: `ClassList(("car", "person")).index("person") == 1`
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if problem := names_problem(self.names):
            raise InputError(f"classes: {problem}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The label of a class.

        Raises:
            InputError: the list does not have it.
        """
        try:
            return self.names.index(name)
        except ValueError:
            hint = meant(name, self.names, f"choose from {self}")
            raise InputError(f"no class {shown_name(name)}{hint}") from None

    def __str__(self) -> str:
        names = ", ".join(map(shown_name, self.names[:SHOWN]))
        left = len(self) - SHOWN
        return names + (f" and {left} more" if left > 0 else "")

    def missing_in(self, other: ClassList) -> tuple[str, ...]:
        """The names that another list does not have."""
        known = set(other.names)
        return tuple(name for name in self.names if name not in known)

    def renamed(self, class_map: Mapping[str, str]) -> tuple[str, ...]:
        """The names with some replaced; several may get the same one."""
        return tuple(class_map.get(name, name) for name in self.names)


SAILVOS = ClassList(CATEGORIES)
