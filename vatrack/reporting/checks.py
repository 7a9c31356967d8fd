"""Checks the values of metrics files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError

Metrics = Mapping[str, float | None]

COUNTS = ("IDs", "MT", "ML", "FP", "FN")
PERCENTAGES = ("HOTA", "DetA", "AssA", "LocA", "MOTP", "IDF1", "Recall")
BEGINNINGS = ("AP", "AR", "IoU")  # of further percentages
LARGEST = 2**53  # what a float still counts exactly; MOTA has no other lower bound
TOLERANCE = 1e-6  # percentage points


def check_metrics(values: dict[str, Any], prefix: str, path: Path, fix: str) -> Metrics:
    """The same values; NaN where -1 stands for undefined, as pycocotools writes it.

    Args:
        values: by key; what a value is follows from the last part of its key.
        prefix: stands before the keys in messages.
        path: the file, for messages.
        fix: how to make it anew, for messages.

    Raises:
        InputError: a value is neither null nor a number that its metric can have.
    """
    return {
        key: _check(key, value, f"{path}: '{prefix}{key}'", fix) for key, value in values.items()
    }


def _check(key: str, value: Any, where: str, fix: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise InputError(f"{where} is {_short(value)}, not a number or null; {fix}")
    metric = key.rpartition("/")[2]
    lowest: float = -LARGEST
    highest: float = LARGEST
    must = f"a number from -{LARGEST} to {LARGEST}"
    if metric in COUNTS:
        lowest, must = 0, f"a whole number from 0 to {LARGEST}"
    elif metric == "MOTA":
        highest, must = 100, "a percentage of at most 100"
    elif metric in PERCENTAGES or metric.startswith(BEGINNINGS):
        lowest, highest, must = 0, 100, "a percentage from 0 to 100"
    if value == -1 and lowest == 0:
        return math.nan
    in_range = lowest - TOLERANCE <= value <= highest + TOLERANCE
    if not in_range or (metric in COUNTS and value != int(value)):
        raise InputError(f"{where} is {_short(value)}, not {must}; {fix}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
