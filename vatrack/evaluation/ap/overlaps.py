"""Which masks, or boxes, of the same image and class overlap, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from vatrack.common.rle import Floats, Ints, iou

BLOCK = 1 << 18  # pairs looked at together, so that the intermediate arrays stay small


@dataclass(frozen=True)
class MaskRows:
    """N masks: `image` [N] (index), `category` [N] (index), `counts` (N compressed strings)."""

    image: Ints
    category: Ints
    counts: Sequence[bytes]


@dataclass(frozen=True)
class Picked(Sequence[bytes]):
    """The items `rows` [N] of a list, each looked up when it is asked for: most masks of tracks
    never are."""

    items: Sequence[bytes]
    rows: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.items[self.rows[index]]


@dataclass(frozen=True)
class BoxRows:
    """N boxes: `image` [N] (index), `category` [N] (index), `box` [N, 4] (x, y, width, height in
    pixels)."""

    image: Ints
    category: Ints
    box: Floats


@dataclass(frozen=True)
class Overlaps:
    """P pairs of a detection and a true object: row numbers `detection` [P] and `truth` [P], `iou`
    [P]."""

    detection: Ints
    truth: Ints
    iou: Floats

    def at_least(self, minimum: float) -> Overlaps:
        """The pairs whose IoU is at least `minimum`."""
        kept = self.iou >= minimum
        return Overlaps(self.detection[kept], self.truth[kept], self.iou[kept])


def mask_overlaps(detections: MaskRows, truths: MaskRows, sizes: Ints) -> Overlaps:
    """Pairs of the same image and category whose mask IoU is above 0.

    Args:
        detections: predicted masks.
        truths: true masks.
        sizes: height and width of every image [I, 2], pixels.
    """
    width = int(max(detections.category.max(initial=0), truths.category.max(initial=0))) + 1
    detection_groups = group_rows(detections.image * width + detections.category)
    truth_groups = group_rows(truths.image * width + truths.category)
    found_detections, found_truths, found_iou = [], [], []
    for key in detection_groups.keys() & truth_groups.keys():
        rows, columns = detection_groups[key], truth_groups[key]
        height_width = sizes[key // width]
        values = iou(
            [detections.counts[i] for i in rows.tolist()],
            [truths.counts[i] for i in columns.tolist()],
            (int(height_width[0]), int(height_width[1])),
        )
        i, j = np.nonzero(values)
        found_detections.append(rows[i])
        found_truths.append(columns[j])
        found_iou.append(values[i, j])
    if not found_iou:
        return Overlaps(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Overlaps(
        np.concatenate(found_detections), np.concatenate(found_truths), np.concatenate(found_iou)
    )


def intersections(iou: Floats, first_area: Ints, second_area: Ints) -> Floats:
    """Common pixels [P] of pairs of masks: r (a + b) / (1 + r) with IoU r and areas a, b, rounded
    to the whole number it is."""
    return np.rint(iou * (first_area + second_area) / (1 + iou))


def box_overlaps(detections: BoxRows, truths: BoxRows) -> Overlaps:
    """Pairs of the same image and category whose box IoU is above 0. A box without width or height
    overlaps nothing."""
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for detection, truth in together(detections, truths):
        iou = _box_iou(detections.box[detection], truths.box[truth])
        kept = iou > 0
        found.append((detection[kept], truth[kept], iou[kept]))
    detection, truth, iou = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return Overlaps(detection, truth, iou)


def shares_in(first: Floats, second: Floats) -> Floats:
    """Share [P] of the first boxes [P, 4] that lies in the second ones, which they overlap."""
    return common_areas(first, second) / first[:, 2:].prod(1)


def together(
    detections: MaskRows | BoxRows, truths: MaskRows | BoxRows
) -> Iterator[tuple[Ints, Ints]]:
    """All pairs of rows [P], [P] of the same image and category, some at a time."""
    width = int(max(detections.category.max(initial=0), truths.category.max(initial=0))) + 1
    truth_keys = truths.image * width + truths.category
    order = np.argsort(truth_keys, kind="stable")
    keys = detections.image * width + detections.category
    starts, stops = (
        np.searchsorted(truth_keys[order], keys, side=side) for side in ("left", "right")
    )
    candidates = stops - starts
    block = np.cumsum(candidates) // BLOCK
    bounds = np.flatnonzero(np.diff(block, prepend=-1, append=-1)).tolist() if len(keys) else [0]
    for first, last in pairwise(bounds):
        number = candidates[first:last]
        detection = np.repeat(np.arange(first, last), number)
        index = np.arange(len(detection)) - np.repeat(np.cumsum(number) - number, number)
        yield detection, order[starts[detection] + index]


def _box_iou(first: Floats, second: Floats) -> Floats:
    """IoU [P] of P pairs of boxes [P, 4]; 0 or NaN where they do not overlap."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        common = common_areas(first, second)
        return common / (first[:, 2:].prod(1) + second[:, 2:].prod(1) - common)


def common_areas(first: Floats, second: Floats) -> Floats:
    """Common area [P] of P pairs of boxes."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    return (high - low).clip(0).prod(1)


def group_rows(keys: Ints) -> dict[int, Ints]:
    """Row numbers of every key, in their order."""
    if not len(keys):
        return {}
    order = np.argsort(keys, kind="stable")
    values, starts = np.unique(keys[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True))
