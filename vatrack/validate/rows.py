"""Which rows of a table of numbers occur again, or change."""

from __future__ import annotations

import numpy as np

from vatrack.common.rle import Ints


def first_rows(*keys: Ints) -> Ints:
    """The first row of each combination of keys."""
    order = np.lexsort(keys)  # stable, so that of equal rows the earlier comes first
    new = np.ones(len(order), bool)
    if len(order):
        new[1:] = np.logical_or.reduce([np.diff(key[order]) != 0 for key in keys])
    return order[new]


def repeated(*keys: Ints) -> Ints:
    """The rows whose keys all occurred in an earlier row, ascending."""
    again = np.ones(len(keys[0]), bool)
    again[first_rows(*keys)] = False
    return np.flatnonzero(again)


def changing(videos: Ints, objects: Ints, categories: Ints) -> Ints:
    """The first row of each further category that an object has in its video, ascending."""
    first = np.sort(first_rows(categories, objects, videos))
    return first[repeated(objects[first], videos[first])]
