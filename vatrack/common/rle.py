"""Compressed COCO run-length masks in bulk: made canonical, areas, pairwise IoU, without decoding
one.

Every mask that enters the package goes through `mask_forms.compress` (one mask of any form) and
`canonical` (many compressed strings): behind them a mask has one form, fills its image, and is
safe to hand to pycocotools, whose C code checks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

RUN_LIMIT = 2**31
# characters measured at once, so that the intermediate arrays stay in the processor's cache
CHUNK = 1 << 17
LONGEST = 7  # characters of one number: 7 x 5 bits hold every 32-bit run
# For `bytes.translate`: what the last character of a number is worth, its five bits with their sign
# (as a byte), and the characters that another one follows.
_SIGNED = bytes((((character - 48) & 31 ^ 16) - 16) & 255 for character in range(256))
_MORE = bytes(character for character in range(256) if (character - 48) & 32)


class Codes(NamedTuple):
    """N compressed masks: canonical `counts`, and their `areas` and `totals` [N] in pixels (see
    `measure`)."""

    counts: list[bytes]
    areas: Ints
    totals: Ints


def canonical(counts: Sequence[bytes]) -> Codes:
    """Measures compressed strings, and rewrites those with empty runs inside.

    pycocotools' IoU ends where both masks have an empty run, so only the first run may be empty. A
    string without such runs is returned as it is, at no cost beyond that of `measure`.
    """
    areas, totals, spare = _measure_all(counts)
    found = list(counts)
    for row in np.flatnonzero(spare & (totals >= 0)).tolist():
        found[row] = encode(decode(found[row]))
    return Codes(found, areas, totals)


def measure(counts: Sequence[bytes]) -> tuple[Ints, Ints]:
    """Foreground pixels and total pixels of masks, as pycocotools' C code would read them.

    A mask whose total is not height x width must not reach pycocotools: its IoU would never end.

    Args:
        counts: N compressed strings.

    Returns:
        (areas [N], totals [N]) in pixels; both are -1 where a string is not a run-length code at
        all.
    """
    areas, totals, _ = _measure_all(counts)
    return areas, totals


def runs_of(counts: Sequence[bytes]) -> list[Ints]:
    """The run lengths of N sound masks, the first of which is of background."""
    lengths = np.fromiter(map(len, counts), np.int64, len(counts))
    value, bounds = _numbers(b"".join(counts), np.cumsum(lengths), np.zeros(len(counts), bool))
    value = value.astype(np.int64, copy=False)
    runs = [value[first:last] for first, last in pairwise(bounds.tolist())]
    for run in runs:
        # From the fourth number on, a run is stored as its difference to the run two places before.
        for first in (1, 2):
            np.cumsum(run[first::2], out=run[first::2])
    return runs


def decode(counts: bytes) -> list[int]:
    """The same for one mask."""
    runs: list[int] = runs_of([counts])[0].tolist()
    return runs


def _measure_all(counts: Sequence[bytes]) -> tuple[Ints, Ints, Bools]:
    """Areas and totals, and whether there are empty runs behind the first."""
    lengths = np.fromiter(map(len, counts), np.int64, len(counts))
    areas, totals = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64)
    spare = np.zeros(len(counts), bool)
    chunk = np.cumsum(lengths) // CHUNK
    bounds = np.flatnonzero(np.diff(chunk, prepend=-1, append=-1)).tolist() if len(counts) else [0]
    for start, stop in pairwise(bounds):
        areas[start:stop], totals[start:stop], spare[start:stop] = _measure(
            counts[start:stop], lengths[start:stop]
        )
    return areas, totals, spare


def _measure(counts: Sequence[bytes], lengths: Ints) -> tuple[Ints, Ints, Bools]:
    bad, spare = np.zeros(len(counts), bool), np.zeros(len(counts), bool)
    areas, totals = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64)
    text, stops = b"".join(counts), np.cumsum(lengths)
    if not text:
        return areas, totals, spare
    data = np.frombuffer(text, np.uint8)
    if data.min() < 48 or data.max() > 111:
        wrong = np.flatnonzero((data < 48) | (data > 111))
        bad[np.searchsorted(stops, wrong, side="right")] = True
    value, bounds = _numbers(text, stops, bad)
    # From the fourth number on, a run is stored as its difference to the run two places before: two
    # chains in a mask, the first of which starts anew at the third number. Summed up are all
    # numbers at even places, then all at odd ones.
    for parity in (0, 1):
        start = (bounds + 1 - parity) // 2  # of the masks in the chain
        number = np.diff(start)
        rows = np.flatnonzero(number)
        if not len(rows):
            continue
        chain, start, number = value[parity::2].copy(), start[rows], number[rows]
        # whether it is the first, third, ... run of the mask that stands here
        even = (bounds[rows] + parity) % 2 == 0
        # Where a chain starts anew, what was before is taken off, so that one sum over everything
        # gives all runs.
        third = start[even & (number > 1)] + 1
        chain[third] -= chain[third - 1]
        chain[start[1:]] -= np.add.reduceat(chain, start, dtype=chain.dtype)[:-1]
        # A run that leaves 32 bits has a negative one on its way: no number is a quarter as large.
        runs = np.cumsum(chain, dtype=chain.dtype)
        if runs.min() < 0 or runs.max() >= RUN_LIMIT:
            wrong = np.flatnonzero((runs < 0) | (runs >= RUN_LIMIT))
            bad[rows[np.searchsorted(start, wrong, side="right") - 1]] = True
        if np.count_nonzero(runs) < len(runs):
            # The first run of a mask may be empty: the mask begins in the foreground.
            empty = np.flatnonzero(runs == 0)
            inside = empty[~np.isin(empty, start[even])]
            spare[rows[np.searchsorted(start, inside, side="right") - 1]] = True
        pixels = np.add.reduceat(runs, start, dtype=np.int64)
        totals[rows] += pixels
        areas[rows] += np.where(even, 0, pixels)
    areas[bad] = totals[bad] = -1
    return areas, totals, spare


def _numbers(text: bytes, stops: Ints, bad: Bools) -> tuple[NDArray[Any], Ints]:
    """The numbers of the masks whose characters end before `stops`, and where those of each mask
    begin [N + 1].

    They have 32 bits where all of them are short, else 64. Marks in `bad` the masks whose last
    number does not end, or which have a number of too many characters.
    """
    # A number is a group of 6-bit characters, lowest 5 bits first; bit 5 says that another
    # character follows.
    data = np.frombuffer(text, np.uint8)
    more = ((data - np.uint8(48)) & 32) != 0
    last = stops[np.diff(stops, prepend=0) > 0] - 1
    unended = last[more[last]]
    if len(unended):
        bad[np.searchsorted(stops, unended, side="right")] = True
        data, more[unended] = data.copy(), False
        data[unended] = 48
        text = data.tobytes()
    # In most numbers the only character is the last.
    ends = np.frombuffer(text.translate(_SIGNED, _MORE), np.int8)
    before = np.flatnonzero(more)
    bounds = np.append(0, stops - np.searchsorted(before, stops))
    if not len(before):
        return ends.astype(np.int32), bounds
    first = np.flatnonzero(np.diff(before, prepend=-2) != 1)
    length = np.diff(np.append(first, len(before)))
    number = before[first] - first
    bad[np.searchsorted(bounds[1:], number[length >= LONGEST], side="right")] = True
    index = np.minimum(np.arange(len(before)) - np.repeat(first, length), LONGEST - 1)
    lower = (data[before] - 48 & 31).astype(np.int64) << 5 * index
    value = ends.astype(np.int32 if length.max() < LONGEST - 1 else np.int64)
    value[number] = (
        ends[number].astype(np.int64) << 5 * np.minimum(length, LONGEST - 1)
    ) + np.add.reduceat(lower, first)
    return value, bounds


def encode_runs(runs: Sequence[Ints]) -> list[bytes]:
    """The compressed strings of N masks, all at once.

    Args:
        runs: run lengths of each mask, the first of which is of background and may be 0.
    """
    lengths = np.fromiter(map(len, runs), np.int64, len(runs))
    if not lengths.sum():
        return [b""] * len(runs)
    value = np.concatenate(runs)
    # From the fourth number on, a run is stored as its difference to the run two places before.
    index = np.arange(len(value)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    value = np.where(index > 2, value - np.roll(value, 2), value)
    # Characters of 5 bits each, lowest first; the last one has the sign.
    magnitude = np.where(value < 0, ~value, value)
    characters = np.searchsorted(1 << (5 * np.arange(1, LONGEST) - 1), magnitude, side="right") + 1
    stops = np.cumsum(characters)
    data = np.empty(stops[-1], np.uint8)
    rows, start = np.arange(len(value)), stops - characters
    for character in range(int(characters.max())):
        rows = rows[characters[rows] > character]
        more = (characters[rows] > character + 1) << 5
        data[start[rows] + character] = (value[rows] >> 5 * character & 31 | more) + 48
    text = data.tobytes()
    bounds = np.append(0, stops)[np.append(0, np.cumsum(lengths))].tolist()
    return [text[first:last] for first, last in pairwise(bounds)]


def encode(runs: Sequence[int]) -> bytes:
    """The canonical compressed string of run lengths, the first of which is of background; empty
    ones may be among them."""
    # Empty runs inside join their neighbours, which are of one colour.
    coloured = [(index % 2, run) for index, run in enumerate(runs) if run]
    merged = [sum(run for _, run in group) for _, group in groupby(coloured, lambda item: item[0])]
    if coloured and coloured[0][0]:
        merged.insert(0, 0)
    return encode_runs([np.array(merged, np.int64)])[0]


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


def boxes_of(counts: Sequence[bytes], sizes: Ints) -> Floats:
    """The smallest boxes [N, 4] (x, y, width, height in pixels) around sound masks of the `sizes`
    [N, 2] (height, width)."""
    codes = [
        {"size": size, "counts": text} for text, size in zip(counts, sizes.tolist(), strict=True)
    ]
    return np.asarray(coco_mask.toBbox(codes), np.float64) if codes else np.zeros((0, 4))


def box_of(counts: bytes, size: Sequence[int]) -> list[float]:
    """The smallest box (x, y, width, height in pixels) around a sound mask of a size (height,
    width)."""
    return coco_mask.toBbox({"size": list(size), "counts": counts}).tolist()
