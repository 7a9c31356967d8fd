"""Checks on parsed JSON that end in one clear message: lists, fields and references.

`source` is the file's name and `where` the list in it, both for messages. All raise InputError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vatrack.common.errors import InputError
from vatrack.common.rle import Floats, Ints
from vatrack.data.columns import column
from vatrack.data.fields import is_whole, problem, shown
from vatrack.data.known_forms import JOINT

FIX = "use a file from `vatrack convert` or `vatrack prepare`, or correct it (docs/formats.md)"


def list_of(document: Any, key: str, source: str) -> list[Any]:
    """A list of the document by its name."""
    value = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(value, list):
        raise InputError(f"{source}: no list '{key}'; {FIX}")
    return value


def field_of(item: Any, key: str, source: str, where: str) -> Any:
    """A field that must be there."""
    try:
        return item[key]
    except (KeyError, TypeError, IndexError):
        fix = JOINT.give if key.endswith("_mask") else FIX
        raise InputError(f"{source}: {_named(item, where)} has no '{key}'; {fix}") from None


def values_of(items: list[Any], key: str, source: str, where: str) -> list[Any]:
    """The values of a field that all items must have."""
    try:
        return [item[key] for item in items]
    except (KeyError, TypeError, IndexError):
        return [field_of(item, key, source, where) for item in items]


def integers(items: list[Any], key: str, source: str, where: str) -> Ints:
    """A column [N] of integers."""
    return _column(items, key, source, where).astype(np.int64, copy=False)


def numbers(items: list[Any], key: str, source: str, where: str) -> Floats:
    """A column [N] of numbers."""
    return _column(items, key, source, where).astype(np.float64, copy=False)


def flags(items: list[Any], key: str, source: str, where: str) -> NDArray[np.bool_]:
    """A column [N] of marks, which may be missing."""
    values = [item.get(key) for item in items]
    usual = {type(None), bool, int, float}.issuperset(map(type, values))
    if not usual or not {None, 0, 1}.issuperset(values):
        check_values(items, values, key, source, where)
    return np.array(list(map(bool, values)), bool)


def check_values(
    items: list[Any], values: Iterable[Any], key: str, source: str, where: str
) -> None:
    """Refuses values that the field `key` of items may not have."""
    for item, value in zip(items, values, strict=True):
        if text := problem(key, value):
            raise InputError(f"{source}: {_named(item, where)}: {text}; {FIX}")


def _column(items: list[Any], key: str, source: str, where: str) -> NDArray[Any]:
    values = values_of(items, key, source, where)
    found = column(key, values)
    if found is None:
        check_values(items, values, key, source, where)
        found = np.array(values)
    return found


def all_known(known: NDArray[np.bool_], annotations: list[Any], key: str, source: str) -> None:
    """Refuses annotations that refer to something that is not listed."""
    wrong = np.flatnonzero(~known)
    if len(wrong):
        annotation = annotations[wrong[0]]
        name = _named(annotation, "annotations")
        raise InputError(
            f"{source}: {name} has {key} {shown(annotation[key])}, which is not listed; {FIX}"
        )


def _named(item: Any, where: str) -> str:
    number = item.get("id") if isinstance(item, Mapping) else None
    if number is None:
        return f"an item of '{where}'"
    return f"item {number if is_whole(number) else shown(number)} of '{where}'"
