"""The values of a field of many items as one array, checked together, and where ids stand in one.

What is wrong with one of them, `vatrack.data.fields` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vatrack.common.rle import Floats, Ints
from vatrack.data.fields import AREA_LIMIT, LIMIT, MEANINGS, ROUND_OFF

# Numbers that are allowed are between these, both included.
_RANGES = {"area": (0.0, AREA_LIMIT), "rate": (-ROUND_OFF, 1 + ROUND_OFF)}


def column(name: str, values: Sequence[Any]) -> NDArray[Any] | None:
    """The values [N] of a field as an array, or [N, 4] for boxes; None where one of them may not be
    allowed: `fields.problem` tells."""
    meaning = MEANINGS[name]
    try:
        if meaning == "whole":
            return whole_numbers(values)
        if meaning == "box":
            boxes = rows_of_numbers(values, 4)
            return boxes if boxes is not None and (boxes[:, 2:] >= 0).all() else None
        if meaning not in _RANGES:
            return None
        numbers = rows_of_numbers([values], len(values))
    except (TypeError, OverflowError):
        return None
    if numbers is None:
        return None
    low, high = _RANGES[meaning]
    return numbers[0] if ((numbers >= low) & (numbers <= high)).all() else None


def whole_numbers(values: Sequence[Any]) -> Ints | None:
    """Whole numbers (`is_whole`) as an array [N]; None where one of the values is none."""
    if not {int}.issuperset(map(type, values)):
        return None
    if len(values) and not (min(values) > -LIMIT and max(values) < LIMIT):
        return None
    return np.array(values, np.int64)


def rows_in_ascending(listed: Ints, wanted: Ints) -> Ints:
    """For each wanted id the row where it stands first in an ascending list, -1 where it does
    not."""
    if not len(listed):
        return np.full(len(wanted), -1, np.int64)
    rows = np.minimum(np.searchsorted(listed, wanted), len(listed) - 1)
    return np.where(listed[rows] == wanted, rows, -1)


def rows_of_ids(listed: Ints, wanted: Ints) -> Ints:
    """The same in a list of any order."""
    order = np.argsort(listed, kind="stable")
    return np.append(order, -1)[rows_in_ascending(listed[order], wanted)]


def rows_of_numbers(rows: Sequence[Any], width: int) -> Floats | None:
    """Lists of numbers (`is_number`) of one length as an array [N, width]; None where one may be
    something else."""
    if not ({list}.issuperset(map(type, rows)) and {width}.issuperset(map(len, rows))):
        return None
    values = list(chain.from_iterable(rows))
    if not {int, float}.issuperset(map(type, values)):
        return None
    try:
        found = np.array(values, np.float64).reshape(len(rows), width)
    except OverflowError:  # a whole number larger than any float
        return None
    return found if (np.abs(found) < LIMIT).all() else None
