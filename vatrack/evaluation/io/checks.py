"""Checks on parsed JSON that end in one clear message: lists, fields, numbers and masks.

`source` is the file's name and `where` the list in it, both for messages. All raise InputError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vatrack.common.errors import InputError
from vatrack.common.rle import Floats, Ints, measure

# of a number that is taken as finite: sums and products of such stay far from overflowing
LARGEST = 1e300
FIX = "a file written by `vatrack convert` is needed"


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
        raise InputError(f"{source}: {_named(item, where)} has no '{key}'; {FIX}") from None


def integers(items: list[Any], key: str, source: str, where: str) -> Ints:
    """A column [N] of integers."""
    values = [field_of(item, key, source, where) for item in items]
    for item, value in zip(items, values, strict=True):
        if not is_integer(value):
            raise InputError(
                f"{source}: '{key}' of {_named(item, where)} must be an integer; {FIX}"
            )
    return np.array(values, np.int64)


def numbers(items: list[Any], key: str, source: str, where: str) -> Floats:
    """A column [N] of finite numbers."""
    values = [field_of(item, key, source, where) for item in items]
    for item, value in zip(items, values, strict=True):
        if not is_number(value):
            raise InputError(
                f"{source}: '{key}' of {_named(item, where)} must be a finite number; {FIX}"
            )
    return np.array(values, np.float64)


def is_integer(value: Any) -> bool:
    """Whether a parsed value is an integer (true and false are not) that fits into 64 bits."""
    return type(value) is int and abs(value) < 2**63


def is_number(value: Any) -> bool:
    """Whether a parsed value is a finite number."""
    return type(value) in (int, float) and -LARGEST < value < LARGEST


def all_known(known: NDArray[np.bool_], annotations: list[Any], key: str, source: str) -> None:
    """Refuses annotations that refer to something that is not listed."""
    wrong = np.flatnonzero(~known)
    if len(wrong):
        annotation = annotations[wrong[0]]
        name = _named(annotation, "annotations")
        raise InputError(
            f"{source}: {name} has {key} {annotation[key]}, which is not listed; {FIX}"
        )


def is_box(value: Any) -> bool:
    """Whether a parsed value is a box: x, y, width and height as four finite numbers."""
    return isinstance(value, list | tuple) and len(value) == 4 and all(map(is_number, value))


def mask_problem(mask: Any) -> str | None:
    """What is wrong with the form of a mask; None if nothing is."""
    size = mask.get("size") if isinstance(mask, Mapping) else None
    if (
        not isinstance(size, list | tuple)
        or len(size) != 2
        or not all(map(is_integer, size))
        or "counts" not in mask
    ):
        return "is not a run-length mask {size: [height, width], counts}"
    if not isinstance(mask["counts"], str | bytes) or not mask["counts"].isascii():
        return "is not compressed; make 'counts' a string with pycocotools.mask.frPyObjects"
    return None


def mask_counts(mask: Mapping[str, Any]) -> bytes:
    """The compressed string of a mask of good form."""
    counts = mask["counts"]
    return counts if isinstance(counts, bytes) else counts.encode()


def sound_masks(masks: list[Any], sizes: Ints, names: Sequence[str]) -> tuple[list[bytes], Ints]:
    """The compressed strings and areas [N] (pixels) of masks that must have the `sizes` [N, 2]
    (height, width)."""
    for mask, name, size in zip(masks, names, sizes.tolist(), strict=True):
        if problem := mask_problem(mask):
            raise InputError(f"{name} {problem}")
        if list(mask["size"]) != size:
            raise InputError(f"{name} has size {mask['size']}, its image {size} (height, width)")
    counts = [mask_counts(mask) for mask in masks]
    areas, totals = measure(counts)
    wrong = np.flatnonzero(totals != sizes.prod(1))
    if len(wrong):
        raise InputError(
            f"{names[wrong[0]]} is damaged: its runs do not fill the image; make the file again"
        )
    return counts, areas


def _named(item: Any, where: str) -> str:
    number = item.get("id") if isinstance(item, Mapping) else None
    return f"an item of '{where}'" if number is None else f"item {number} of '{where}'"
