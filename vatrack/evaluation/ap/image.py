"""Frame-level average precision (spec 6.2): every image of the dataset counts, also those without
detections.

Crowds (SAIL-VOS has none) are treated as COCO treats them: they never count, the overlap with a
crowd is the share of the detection that lies in it, and one crowd takes any number of detections,
which are neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from vatrack.common.mask_types import MaskType
from vatrack.common.rle import Floats, Ints
from vatrack.config import EvaluationConfig
from vatrack.evaluation.ap.matching import LOWEST_IOU, Detections, Matches, Truths, match
from vatrack.evaluation.ap.overlaps import (
    BoxRows,
    MaskRows,
    Overlaps,
    box_overlaps,
    intersections,
    mask_overlaps,
    shares_in,
)
from vatrack.evaluation.io.ground_truth import Images, TrueObjects
from vatrack.evaluation.io.predictions import Predictions

# Detections per image and class: AP reads the first, everything else the second (spec 6.2).
LIMITS = (100, 1000)


def with_mask(predictions: Predictions, mask_type: MaskType) -> tuple[Ints, MaskRows]:
    """Row numbers of the detections that have a mask of type `mask_type`, and these masks."""
    given = predictions.counts[mask_type]
    if None not in given:
        return np.arange(len(given)), MaskRows(
            predictions.image, predictions.category, cast(Sequence[bytes], given)
        )
    counts = [text for text in given if text is not None]
    rows = [row for row, text in enumerate(given) if text is not None]
    chosen = np.array(rows, np.int64)
    return chosen, MaskRows(predictions.image[chosen], predictions.category[chosen], counts)


def frame_overlaps(
    predictions: Predictions, objects: TrueObjects, images: Images, mask_type: MaskType
) -> Overlaps:
    """Pairs of a detection (row of `predictions`) and a true object of its class whose masks
    overlap."""
    rows, masks = with_mask(predictions, mask_type)
    found = mask_overlaps(masks, objects.masks, images.size)
    return Overlaps(rows[found.detection], found.truth, found.iou)


def frame_box_overlaps(
    predictions: Predictions, objects: TrueObjects, mask_type: MaskType
) -> Overlaps:
    """Like `frame_overlaps`, measured on the boxes of the detections with such a mask."""
    rows, masks = with_mask(predictions, mask_type)
    found = box_overlaps(
        BoxRows(masks.image, masks.category, predictions.box[mask_type][rows]),
        BoxRows(objects.masks.image, objects.masks.category, objects.box),
    )
    return Overlaps(rows[found.detection], found.truth, found.iou)


def image_matches(
    predictions: Predictions,
    objects: TrueObjects,
    overlaps: Overlaps,
    images: Images,
    mask_type: MaskType,
    switches: EvaluationConfig,
    *,
    boxes: bool = False,
) -> Matches:
    """Which detections find which objects.

    As published, the area of a detection is that of its box, not of its mask (quirk E2); for a
    method with one box head this is the amodal box in the visible evaluation, too (quirk E10).

    Args:
        predictions: all detections of whole images.
        objects: all true objects of these images with this mask type.
        overlaps: from `frame_overlaps`, or `frame_box_overlaps` for boxes.
        images: the images.
        mask_type: amodal or visible.
        switches: the area of a detection, and whether an object whose annotation id is 0 is never
            found (quirk E1).
        boxes: match the boxes of the same detections and objects. As in COCO, the area of an
            object is that of its mask, and of a detection that of its box.
    """
    rows, masks = with_mask(predictions, mask_type)
    mask_area = predictions.area[mask_type]
    crowd = objects.crowd[overlaps.truth]
    iou = overlaps.iou
    if crowd.any():
        if boxes:
            detected = predictions.box[mask_type][overlaps.detection]
            share = shares_in(detected, objects.box[overlaps.truth])
        else:
            share = _mask_shares(overlaps, mask_area, objects)
        iou = np.where(crowd, share, iou)
    pairs = Overlaps(np.searchsorted(rows, overlaps.detection), overlaps.truth, iou)
    by_box = boxes or switches.detection_area == "box"
    area = predictions.box_area(mask_type) if by_box else mask_area.astype(np.float64)
    detections = Detections(
        images.id[masks.image], masks.category, predictions.score[rows], area[rows]
    )
    matchable = (objects.id != 0) | (not switches.legacy_gt_id0)
    truths = Truths(objects.masks.category, objects.area, objects.rate, objects.crowd, matchable)
    return match(detections, truths, pairs.at_least(LOWEST_IOU), max(LIMITS))


def _mask_shares(pairs: Overlaps, mask_area: Ints, objects: TrueObjects) -> Floats:
    """COCO's overlap for crowds: the share of each detection's pixels (`mask_area`) that lie in
    the crowd."""
    area = mask_area[pairs.detection]
    return intersections(pairs.iou, area, objects.mask_area[pairs.truth]) / area
