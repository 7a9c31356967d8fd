"""Which masks of the same image and class overlap, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vatrack.rle import Floats, Ints, iou


@dataclass(frozen=True)
class MaskRows:
    """N masks: `image` [N] (index), `category` [N] (positive), `counts` (N compressed strings)."""

    image: Ints
    category: Ints
    counts: Sequence[bytes]


@dataclass(frozen=True)
class Overlaps:
    """P pairs of a detection and a true object: row numbers `detection` [P] and `truth` [P], `iou` [P]."""

    detection: Ints
    truth: Ints
    iou: Floats


def mask_overlaps(detections: MaskRows, truths: MaskRows, sizes: Ints, minimum: float) -> Overlaps:
    """Pairs of the same image and category whose IoU is at least `minimum` and above 0.

    Args:
        detections: predicted masks.
        truths: true masks.
        sizes: height and width of every image [I, 2], pixels.
        minimum: lowest IoU that is kept.
    """
    width = int(max(detections.category.max(initial=0), truths.category.max(initial=0))) + 1
    detection_groups = group_rows(detections.image * width + detections.category)
    truth_groups = group_rows(truths.image * width + truths.category)
    found_detections, found_truths, found_iou = [], [], []
    for key in detection_groups.keys() & truth_groups.keys():
        rows, columns = detection_groups[key], truth_groups[key]
        height_width = sizes[key // width]
        values = iou(
            [detections.counts[i] for i in rows],
            [truths.counts[i] for i in columns],
            (int(height_width[0]), int(height_width[1])),
        )
        i, j = np.nonzero((values >= minimum) & (values > 0))
        found_detections.append(rows[i])
        found_truths.append(columns[j])
        found_iou.append(values[i, j])
    if not found_iou:
        return Overlaps(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Overlaps(np.concatenate(found_detections), np.concatenate(found_truths), np.concatenate(found_iou))


def intersections(iou: Floats, first_area: Ints, second_area: Ints) -> Floats:
    """Common pixels [P] of pairs of masks: r (a + b) / (1 + r) with IoU r and areas a, b, rounded to the whole number it is."""
    return np.rint(iou * (first_area + second_area) / (1 + iou))


def group_rows(keys: Ints, rows: Ints | None = None) -> dict[int, Ints]:
    """Row numbers (0, 1, ... unless given) of every key, in their order."""
    if not len(keys):
        return {}
    order = np.argsort(keys, kind="stable")
    values, starts = np.unique(keys[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order if rows is None else rows[order], starts[1:]), strict=True))
