"""What callers in Python give: a value of a wrong type is refused where it is given."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError

_NOUNS: dict[Any, str] = {
    str: "string",
    Integral: "whole number",
    Real: "number",
    os.PathLike: "path",
}


def several(what: str, value: Any, *kinds: Any) -> tuple[Any, ...]:
    """The items of an argument that takes several; a single one is one item.

    A string is never taken for its letters.

    Args:
        what: the argument, for messages.
        kinds: the types that an item may have.

    Raises:
        InputError: it is no such item, and no list of such items.
    """
    if isinstance(value, kinds):
        return (value,)
    items = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if items is None or not all(isinstance(item, kinds) for item in items):
        raise InputError(f"{what}: is {_shown(value)}; it must be {_named(kinds)}, or a list")
    return items


def check_type(what: str, value: Any, *kinds: Any) -> None:
    """Raises InputError where a value has none of these types; True and False are no numbers."""
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise InputError(f"{what}: is {_shown(value)}; it must be {_named(kinds)}")


def check_number(what: str, value: Any) -> None:
    """Raises InputError where a value is not a number."""
    check_type(what, value, Real)


def as_path(what: str, value: Any) -> Path:
    """The path of a file or folder; raises InputError where the value is none."""
    check_type(what, value, str, os.PathLike)
    return Path(value)


def _shown(value: Any) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def _named(kinds: Iterable[Any]) -> str:
    return " or ".join(f"a {_NOUNS.get(kind, kind.__name__)}" for kind in kinds)
