"""Frame-level average precision (spec 6.2): every image of the data set counts, also those without detections."""

from __future__ import annotations

import numpy as np

from vatrack.evaluation.ground_truth import Images, TrueObjects
from vatrack.evaluation.matching import LOWEST_IOU, Detections, Truths, precision_by_class
from vatrack.evaluation.overlaps import BoxRows, MaskRows, Overlaps, box_overlaps, mask_overlaps
from vatrack.evaluation.predictions import Predictions
from vatrack.rle import Floats, Ints

LIMITS = (100, 1000)  # detections per image and class: AP reads the first, everything else the second (spec 6.2)


def with_mask(predictions: Predictions, kind: str) -> tuple[Ints, MaskRows]:
    """Row numbers of the detections that have a `kind` of mask, and these masks."""
    rows, counts = [], []
    for row, text in enumerate(predictions.counts[kind]):
        if text is not None:
            rows.append(row)
            counts.append(text)
    chosen = np.array(rows, np.int64)
    return chosen, MaskRows(predictions.image[chosen], predictions.category[chosen], counts)


def frame_overlaps(predictions: Predictions, objects: TrueObjects, images: Images, kind: str) -> Overlaps:
    """Pairs of a detection (row of `predictions`) and a true object of its class whose masks overlap."""
    rows, masks = with_mask(predictions, kind)
    found = mask_overlaps(masks, objects.masks, images.size)
    return Overlaps(rows[found.detection], found.truth, found.iou)


def frame_box_overlaps(predictions: Predictions, objects: TrueObjects, kind: str) -> Overlaps:
    """Like `frame_overlaps`, measured on the boxes of the detections that have a `kind` of mask."""
    rows, masks = with_mask(predictions, kind)
    found = box_overlaps(
        BoxRows(masks.image, masks.category, predictions.box[kind][rows]),
        BoxRows(objects.masks.image, objects.masks.category, objects.box),
    )
    return Overlaps(rows[found.detection], found.truth, found.iou)


def image_precision(
    predictions: Predictions, objects: TrueObjects, overlaps: Overlaps, kind: str, *, legacy_gt_id0: bool
) -> dict[int, Floats]:
    """Precision of every class that has a true object: {category id: [2, T, S, R]}, one for each of `LIMITS`.

    The area of a detection is that of its box, not of its mask (quirk E2); for a method with one box head this is the
    amodal box in the visible evaluation, too (quirk E10).

    Args:
        predictions: all detections.
        objects: all true objects with this kind of mask.
        overlaps: from `frame_overlaps`.
        kind: amodal or visible.
        legacy_gt_id0: an object whose annotation id is 0 is never found (quirk E1).
    """
    rows, masks = with_mask(predictions, kind)
    overlaps = overlaps.at_least(LOWEST_IOU)
    return precision_by_class(
        masks.category,
        Detections(masks.image, predictions.score[rows], predictions.box_area(kind)[rows]),
        objects.masks.category,
        Truths(objects.area, objects.rate, objects.crowd, (objects.id != 0) | (not legacy_gt_id0)),
        Overlaps(np.searchsorted(rows, overlaps.detection), overlaps.truth, overlaps.iou),
        LIMITS,
    )
