"""Compressed COCO run-length masks in bulk: areas, a check that they are sound, and pairwise IoU, without decoding one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHUNK = 1 << 17  # characters measured at once, so that the intermediate arrays stay in the processor's cache
LONGEST = 7  # characters of one number: 7 x 5 bits hold every 32-bit run
RUN_LIMIT = 2**31


def measure(counts: Sequence[bytes]) -> tuple[Ints, Ints]:
    """Foreground pixels and total pixels of masks, as pycocotools' C code would read them.

    A mask whose total is not height x width must not reach pycocotools: its IoU would never end.

    Args:
        counts: N compressed strings.

    Returns:
        (areas [N], totals [N]) in pixels; both are -1 where a string is not a run-length code at all.
    """
    lengths = np.fromiter(map(len, counts), np.int64, len(counts))
    areas, totals = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64)
    chunk = np.cumsum(lengths) // CHUNK
    bounds = np.flatnonzero(np.diff(chunk, prepend=-1, append=-1)).tolist() if len(counts) else [0]
    for start, stop in pairwise(bounds):
        areas[start:stop], totals[start:stop] = _measure(counts[start:stop], lengths[start:stop])
    return areas, totals


def _measure(counts: Sequence[bytes], lengths: Ints) -> tuple[Ints, Ints]:
    bad = np.zeros(len(counts), bool)
    data = np.frombuffer(b"".join(counts), np.uint8) - np.uint8(48)
    if not len(data):
        return np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64)
    stops = np.cumsum(lengths)
    bad[np.searchsorted(stops, np.flatnonzero(data > 63), side="right")] = True
    # A number is a group of 6-bit characters, lowest 5 bits first; bit 5 says that another character follows.
    final = (data & 32) == 0
    last = stops[lengths > 0] - 1
    bad[np.flatnonzero(lengths)[~final[last]]] = True
    final[last] = True
    ends = np.flatnonzero(final)
    sizes = np.diff(ends, prepend=-1)
    starts = ends - sizes + 1
    group_stops = np.searchsorted(ends, stops)
    groups = np.diff(group_stops, prepend=0)
    bad[np.searchsorted(group_stops, np.flatnonzero(sizes > LONGEST), side="right")] = True
    low = data & 31
    value = low[starts].astype(np.int64)
    for place in range(1, min(int(sizes.max()), LONGEST)):
        longer = np.flatnonzero(sizes > place)
        value[longer] |= low[starts[longer] + place].astype(np.int64) << 5 * place
    negative = np.flatnonzero(data[ends] & 16)
    value[negative] -= np.int64(1) << 5 * np.minimum(sizes[negative], LONGEST)
    # From the fourth number on, a run is stored as its difference to the run two places before.
    position = np.arange(len(ends)) - np.repeat(group_stops - groups, groups)
    runs = value.copy()
    for parity in (0, 1):
        chain = np.flatnonzero((position % 2 == parity) & (position > 0))
        total = np.cumsum(value[chain])
        first = np.flatnonzero(position[chain] == 2 - parity)
        before = total[first] - value[chain[first]]
        runs[chain] = total - np.repeat(before, np.diff(np.append(first, len(chain))))
    bad[np.searchsorted(group_stops, np.flatnonzero((runs < 0) | (runs >= RUN_LIMIT)), side="right")] = True
    runs = np.clip(runs, 0, RUN_LIMIT)
    sums = [np.append(0, np.cumsum(part)) for part in (np.where(position % 2, runs, 0), runs)]
    areas, totals = (total[group_stops] - total[group_stops - groups] for total in sums)
    areas[bad] = totals[bad] = -1
    return areas, totals


def iou(detections: Sequence[bytes], truths: Sequence[bytes], size: tuple[int, int]) -> Floats:
    """Mask IoU [D, G] of sound masks of one size (height, width); two empty masks have IoU 0."""
    if not len(detections) or not len(truths):
        return np.zeros((len(detections), len(truths)))
    shape = list(size)
    return coco_mask.iou(
        [{"size": shape, "counts": text} for text in detections],
        [{"size": shape, "counts": text} for text in truths],
        [0] * len(truths),
    )


def box_of(counts: bytes, size: Sequence[int]) -> list[float]:
    """The smallest box (x, y, width, height in pixels) around a sound mask of a size (height, width)."""
    return coco_mask.toBbox({"size": list(size), "counts": counts}).tolist()
