"""Bitmaps of run-length masks, drawn only where there is something, and codes of bitmaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from vatrack.common.rle import Ints, runs_of


def draw(
    counts: Sequence[bytes], size: tuple[int, int], *, mirrored: bool = False
) -> NDArray[np.uint8]:
    """The bitmaps (n, height, width) of sound masks, 1 inside: what pycocotools decodes.

    Pages of memory that no mask touches are never written, and no mask is turned as a whole.

    Args:
        counts: n canonical strings that fill the `size` (height, width).
        mirrored: left and right are exchanged.

    Example:
        >>> draw([b"132"], (3, 2))[0].tolist()
        [[0, 1], [1, 0], [1, 0]]
    """
    height, width = size
    bitmaps = np.zeros((len(counts), height, width), np.uint8)
    for bitmap, runs in zip(bitmaps, runs_of(counts), strict=True):
        edges = np.cumsum(runs)
        stops = edges[1::2]
        if len(stops):
            target = bitmap[:, ::-1] if mirrored else bitmap
            _draw(target, edges[0::2][: len(stops)], stops)
    return bitmaps


def encode_bitmap(bitmap: NDArray[np.bool_]) -> dict[str, Any]:
    """The run-length code of a bitmap [H, W], as JSON holds it."""
    code = coco_mask.encode(np.asfortranarray(bitmap, np.uint8))
    return {"size": list(bitmap.shape), "counts": code["counts"].decode("ascii")}


def _draw(bitmap: NDArray[np.uint8], starts: Ints, stops: Ints) -> None:
    """Sets the pixels from `starts` to `stops`, counted column by column."""
    height = len(bitmap)
    left, right = int(starts[0]) // height, (int(stops[-1]) - 1) // height + 1
    change = np.zeros((right - left) * height + 1, np.int8)
    change[starts - left * height] = 1
    change[stops - left * height] = -1
    columns = np.cumsum(change, out=change)[:-1].reshape(right - left, height)
    top, bottom = 0, height
    first, last = starts % height, (stops - 1) % height
    if (stops - starts == last - first + 1).all():  # no run goes on in the next column
        top, bottom = int(first.min()), int(last.max()) + 1
    bitmap[top:bottom, left:right] = columns[:, top:bottom].T
