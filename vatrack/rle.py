"""Compressed COCO run-length masks in bulk: areas, a check that they are sound, and pairwise IoU, without decoding one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHUNK = 1 << 15  # characters measured at once, so that the intermediate arrays stay in the processor's cache
LONGEST = 7  # characters of one number: 7 x 5 bits hold every 32-bit run
RUN_LIMIT = 2**31
# What the last character of a number stands for, by its value: five bits, the highest of which is the sign.
HIGHEST: Ints = (np.arange(256) + 16) % 32 - 16


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
    areas, totals = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64)
    if not len(data):
        return areas, totals
    stops = np.cumsum(lengths)
    if data.max() > 63:
        bad[np.searchsorted(stops, np.flatnonzero(data > 63), side="right")] = True
    # A number is a group of 6-bit characters, lowest 5 bits first; bit 5 says that another character follows.
    final = (data & 32) == 0
    last = stops[lengths > 0] - 1
    bad[np.flatnonzero(lengths)[~final[last]]] = True
    final[last] = True
    ends = np.flatnonzero(final)
    bounds = np.append(0, np.searchsorted(ends, stops))  # of the masks among the numbers
    value = _numbers(data, ends, bounds, bad)
    # From the fourth number on, a run is stored as its difference to the run two places before: two chains in a mask, the
    # first of which starts anew at the third number. Summed up are all numbers at even places, then all at odd ones.
    for parity in (0, 1):
        chain = value[parity::2]
        if not len(chain):
            continue
        start = (bounds + 1 - parity) // 2  # of the masks in the chain
        number, start = np.diff(start), start[:-1]
        even = (bounds[:-1] + parity) % 2 == 0  # whether it is the first, third, ... run of the mask that stands here
        total = np.cumsum(chain)
        first = np.minimum(start, len(chain) - 1)
        runs = total - np.repeat(total[first] - np.where(even, 0, chain[first]), number)
        alone = start[even & (number > 0)]
        runs[alone] = chain[alone]
        if runs.min() < 0 or runs.max() >= RUN_LIMIT:
            wrong = np.flatnonzero((runs < 0) | (runs >= RUN_LIMIT))
            bad[np.searchsorted(start + number, wrong, side="right")] = True
        sums = np.append(0, np.cumsum(runs))
        pixels = sums[start + number] - sums[start]
        totals += pixels
        areas += np.where(even, 0, pixels)
    areas[bad] = totals[bad] = -1
    return areas, totals


def _numbers(data: NDArray[np.uint8], ends: Ints, bounds: Ints, bad: NDArray[np.bool_]) -> Ints:
    """The numbers that end at `ends`; marks in `bad` the masks (numbers `bounds`) that have one of too many characters."""
    sizes = np.diff(ends, prepend=-1)
    longer = np.flatnonzero(sizes > 1)
    too_long = longer[sizes[longer] > LONGEST]
    bad[np.searchsorted(bounds[1:], too_long, side="right")] = True
    value = HIGHEST[data[ends]]
    for place in range(1, LONGEST):
        if not len(longer):
            break
        value[longer] = value[longer] * 32 + (data[ends[longer] - place] & 31)
        longer = longer[sizes[longer] > place + 1]
    return value


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
