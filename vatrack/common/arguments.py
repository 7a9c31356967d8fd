"""What callers in Python give: a value of a wrong type is refused where it is given."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable
from dataclasses import fields
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.paths import from_home

_NOUNS: dict[Any, str] = {
    str: "string",
    int: "whole number",
    Integral: "whole number",
    Real: "number",
    os.PathLike: "path",
    Iterable: "list",
}


def several(what: str, value: Any, *kinds: Any) -> tuple[Any, ...]:
    """The items of an argument that takes several; a single one is one item.

    A string is never taken for its letters, an array without dimensions is its one value; True and
    False are no numbers.

    Args:
        what: the argument, for messages.
        kinds: the types that an item may have.

    Raises:
        InputError: it is no such item, and no list of such items.
    """
    value = _item(value)
    if _is_a(kinds, value):
        return (value,)
    items = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if items is None or not all(_is_a(kinds, item) for item in items):
        raise InputError(f"{what}: is {_shown(value)}; it must be {_named(kinds)}, or a list")
    return items


def check_type(what: str, value: Any, *kinds: Any) -> None:
    """Raises InputError where a value has none of these types; True and False are no numbers."""
    if not _is_a(kinds, value):
        raise InputError(f"{what}: is {_shown(value)}; it must be {_named(kinds)}")


def check_number(what: str, value: Any) -> None:
    """Raises InputError where a value is not a number."""
    check_type(what, value, Real)


def check_score(score: float) -> None:
    """Raises InputError where a score threshold is no number between 0 and 1."""
    check_number("the score threshold", score)
    if not 0 <= score <= 1:
        raise InputError(f"the score threshold is {score}; it must be from 0 to 1")


def check_flag(what: str, value: Any) -> None:
    """Raises InputError where a value is neither True nor False: words like "no" would count as
    True."""
    if type(value).__name__ not in ("bool", "bool_"):  # Python's and NumPy's
        raise InputError(f"{what}: is {_shown(value)}; it must be True or False")


def as_path(what: str, value: Any) -> Path:
    """The path of a file or folder, with the home folder in place of ~; raises InputError where the
    value is none."""
    check_type(what, value, str, os.PathLike)
    return from_home(Path(value))


def make_plain(settings: Any) -> None:
    """Gives a frozen dataclass, whose values are checked, Python's own types: a NumPy number, a
    fraction or a member of an enum is as good as they are, but YAML cannot be written with it."""
    for item in fields(settings):
        object.__setattr__(settings, item.name, _plain(getattr(settings, item.name)))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, Enum):  # str() of a member is its value in a StrEnum alone
        value = value.value
    value = _item(value)  # of a NumPy scalar; only its truth values need it
    kinds: tuple[tuple[Any, Any], ...] = (bool, bool), (str, str), (Integral, int), (Real, float)
    return next((own(value) for kind, own in kinds if isinstance(value, kind)), value)


def _item(value: Any) -> Any:
    """The value of an array without dimensions; anything else is returned as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _is_a(kinds: tuple[Any, ...], value: Any) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def _named(kinds: Iterable[Any]) -> str:
    nouns = [_NOUNS.get(kind, kind.__name__) for kind in kinds]
    *others, last = [f"{'an' if noun[0] in 'AEIOaeiou' else 'a'} {noun}" for noun in nouns]
    return f"{', '.join(others)} or {last}" if others else last
