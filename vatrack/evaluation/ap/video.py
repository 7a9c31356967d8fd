"""Video-level average precision (spec 6.3): whole tracks are matched by their space-time mask
IoU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vatrack.common.mask_types import MaskType
from vatrack.common.rle import Bools, Floats, Ints
from vatrack.evaluation.ap.image import with_mask
from vatrack.evaluation.ap.matching import (
    LOWEST_IOU,
    Detections,
    Matches,
    Truths,
    match,
    rank_in_group,
)
from vatrack.evaluation.ap.overlaps import (
    MaskRows,
    Overlaps,
    Picked,
    intersections,
    mask_overlaps,
    together,
)
from vatrack.evaluation.io.ground_truth import Images, TrueObjects
from vatrack.evaluation.io.predictions import Predictions
from vatrack.evaluation.io.true_tracks import TrueTracks


@dataclass(frozen=True)
class PredictedTracks:
    """K predicted tracks by video, then track id, and their M masks.

    `video`, `category` [K]: that of the first detection (quirk E8); `score` [K]: mean of the
    detections' scores (as float32); `area` [K]: mean of the mask areas that are not zero (quirk
    E3); `total` [K]: pixels of all masks. `masks` has M rows in order of time with the track's
    category; `track` [M] is their track, `mask_area` [M] their pixels, `row` [M] their row among
    the predictions.
    """

    video: Ints
    category: Ints
    score: Floats
    area: Floats
    total: Ints
    masks: MaskRows
    track: Ints
    mask_area: Ints
    row: Ints


def predicted_tracks(
    predictions: Predictions, images: Images, mask_type: MaskType, limit: int
) -> PredictedTracks:
    """Gathers the detections with such a mask into tracks; keeps the `limit` best (quirk E9).

    The limit is for each class and video.
    """
    rows, masks = with_mask(predictions, mask_type)
    image = predictions.image[rows]
    order = np.lexsort((images.position[image], predictions.track[rows], images.video[image]))
    rows, image = rows[order], image[order]
    new = np.ones(len(rows), bool)
    new[1:] = (np.diff(images.video[image]) != 0) | (np.diff(predictions.track[rows]) != 0)
    first, track = np.flatnonzero(new), np.cumsum(new) - 1
    number = len(first)
    area = predictions.area[mask_type][rows]
    total = np.bincount(track, area, minlength=number)
    video, category = images.video[image[first]], predictions.category[rows[first]]
    # Float32 values, as a detector's scores are, add up exactly in float64: tracks with equal
    # scores tie at any length.
    score_sum = np.bincount(track, predictions.score[rows].astype(np.float32), minlength=number)
    score = score_sum / np.bincount(track, minlength=number)

    best_first = np.lexsort((-score, category, video))
    rank = np.empty(number, np.int64)
    rank[best_first] = rank_in_group(video[best_first], category[best_first])
    kept = rank < limit
    kept_rows = np.flatnonzero(kept[track])
    return PredictedTracks(
        video=video[kept],
        category=category[kept],
        score=score[kept],
        area=(total / np.maximum(np.bincount(track, area > 0, minlength=number), 1))[kept],
        total=total[kept].astype(np.int64),
        masks=MaskRows(
            image[kept_rows], category[track[kept_rows]], Picked(masks.counts, order[kept_rows])
        ),
        track=(np.cumsum(kept) - 1)[track[kept_rows]],
        mask_area=area[kept_rows],
        row=rows[kept_rows],
    )


def possible_masks(predicted: PredictedTracks, true: TrueTracks) -> tuple[Bools, Bools]:
    """Which masks, of `predicted.masks` [M] and `true.masks` [N], belong to tracks that may have a
    space-time IoU of 0.5.

    Two masks have at most the smaller one's area in common. Most predicted tracks are so short that
    this alone rules them out.
    """
    width = max(len(true.id), 1)
    sums = [(np.empty(0, np.int64), np.empty(0))]
    for detection, truth in together(predicted.masks, true.masks):
        least = np.minimum(predicted.mask_area[detection], true.mask_area[truth])
        sums.append(_summed(predicted.track[detection] * width + true.track[truth], least))
    keys, common = _summed(*(np.concatenate(columns) for columns in zip(*sums, strict=True)))
    possible = keys[_iou(predicted, true, keys // width, keys % width, common) >= LOWEST_IOU]
    mine, others = np.zeros(len(predicted.track), bool), np.zeros(len(true.track), bool)
    for detection, truth in together(predicted.masks, true.masks):
        kept = np.isin(predicted.track[detection] * width + true.track[truth], possible)
        mine[detection[kept]] = others[truth[kept]] = True
    return mine, others


def _summed(keys: Ints, values: Floats) -> tuple[Ints, Floats]:
    """The different keys, and the sum of the values of each."""
    if len(keys) and keys.max() < 4 * len(keys):  # dense enough to be counted without being sorted
        present = np.bincount(keys)
        found = np.flatnonzero(present)
        return found.astype(np.int64), np.bincount(keys, values)[found].astype(np.float64)
    found, group = np.unique(keys, return_inverse=True)
    return found, np.bincount(group, values, minlength=len(found)).astype(np.float64)


def compare_masks(
    predicted: PredictedTracks, true: TrueTracks, mine: Bools, others: Bools, sizes: Ints
) -> Overlaps:
    """Pairs of rows of `predicted.masks` and `true.masks` of the same image and class that overlap.

    `mine` [M] and `others` [N]: which masks are compared; `sizes` [I, 2]: height and width of the
    images.
    """
    rows, columns = np.flatnonzero(mine), np.flatnonzero(others)
    # All classes of an image together: calls are dear, and the few masks of other classes are
    # mostly elsewhere.
    found = mask_overlaps(_chosen(predicted.masks, rows), _chosen(true.masks, columns), sizes)
    detection, truth = rows[found.detection], columns[found.truth]
    kept = predicted.masks.category[detection] == true.masks.category[truth]
    return Overlaps(detection[kept], truth[kept], found.iou[kept])


def track_mask_overlaps(
    predicted: PredictedTracks,
    true: TrueTracks,
    predictions: Predictions,
    objects: TrueObjects,
    frame_pairs: Overlaps,
    images: Images,
) -> Overlaps:
    """Pairs of rows of `predicted.masks` and `true.masks` that overlap, at least all of tracks with
    a space-time IoU of 0.5.

    Most are known from the frames: where a detection has the class of its track, and a true track's
    mask is one of the objects. Only the others are compared.

    Args:
        predicted: tracks of `predictions`.
        true: true tracks.
        predictions: detections.
        objects: true objects of the frames with the same mask type.
        frame_pairs: from `image.frame_overlaps` of these two.
        images: the images.
    """
    row_of = dict(zip(_keys(objects.masks), range(len(objects.id)), strict=True))
    object_row = np.array([row_of.get(key, -1) for key in _keys(true.masks)], np.int64)
    of_object = np.full(len(objects.id) + 1, -1)
    of_object[object_row] = np.arange(len(object_row))
    of_object[-1] = -1
    # Of several equal masks in an image one is known, the others are compared.
    listed = of_object[object_row] == np.arange(len(object_row))
    own_class = predictions.category[predicted.row] == predicted.masks.category
    of_detection = np.full(len(predictions.image), -1)
    of_detection[predicted.row[own_class]] = np.flatnonzero(own_class)
    detection, truth = of_detection[frame_pairs.detection], of_object[frame_pairs.truth]
    known = (detection >= 0) & (truth >= 0)
    pairs = [(detection[known], truth[known], frame_pairs.iou[known])]
    if not own_class.all() or not listed.all():
        mine, others = possible_masks(predicted, true)
        for rows, columns in ((mine & ~own_class, others), (mine & own_class, others & ~listed)):
            found = compare_masks(predicted, true, rows, columns, images.size)
            pairs.append((found.detection, found.truth, found.iou))
    return Overlaps(*(np.concatenate(columns) for columns in zip(*pairs, strict=True)))


def _keys(masks: MaskRows) -> Iterator[tuple[int, int, bytes]]:
    return zip(masks.image.tolist(), masks.category.tolist(), masks.counts, strict=True)


def _chosen(masks: MaskRows, rows: Ints) -> MaskRows:
    """Some masks, as if of one class."""
    return MaskRows(
        masks.image[rows],
        np.zeros(len(rows), np.int64),
        [masks.counts[row] for row in rows.tolist()],
    )


def track_overlaps(predicted: PredictedTracks, true: TrueTracks, pairs: Overlaps) -> Overlaps:
    """Pairs of tracks of the same video and class whose space-time IoU is at least 0.5.

    IoU = sum of the intersections / sum of the unions over all frames; the unions follow from the
    tracks' totals.

    Args:
        predicted: predicted tracks.
        true: true tracks.
        pairs: which of their masks overlap, from `track_mask_overlaps`.
    """
    intersection = intersections(
        pairs.iou, predicted.mask_area[pairs.detection], true.mask_area[pairs.truth]
    )
    width = max(len(true.id), 1)
    keys, common = _summed(
        predicted.track[pairs.detection] * width + true.track[pairs.truth], intersection
    )
    detection, truth = keys // width, keys % width
    iou = _iou(predicted, true, detection, truth, common)
    kept = iou >= LOWEST_IOU
    return Overlaps(detection[kept], truth[kept], iou[kept])


def _iou(
    predicted: PredictedTracks, true: TrueTracks, detection: Ints, truth: Ints, common: Floats
) -> Floats:
    """Space-time IoU [P] of pairs of tracks with `common` [P] pixels; 0 where there are none."""
    return common / np.maximum(predicted.total[detection] + true.total[truth] - common, 1)


def video_matches(
    predicted: PredictedTracks,
    true: TrueTracks,
    overlaps: Overlaps,
    limit: int,
    *,
    legacy_gt_id0: bool,
) -> Matches:
    """Which predicted tracks find which true ones (arguments as in `image_matches`); a crowd takes
    any number of tracks."""
    return match(
        Detections(predicted.video, predicted.category, predicted.score, predicted.area),
        Truths(
            true.category, true.area, true.rate, true.crowd, (true.id != 0) | (not legacy_gt_id0)
        ),
        overlaps,
        limit,
    )
