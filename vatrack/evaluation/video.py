"""Video-level average precision (spec 6.3): whole tracks are matched by their space-time mask IoU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vatrack.evaluation.ground_truth import Images, TrueObjects, TrueTracks
from vatrack.evaluation.image import with_mask
from vatrack.evaluation.matching import LOWEST_IOU, Detections, Matches, Truths, match, rank_in_group
from vatrack.evaluation.overlaps import MaskRows, Overlaps, intersections, mask_overlaps
from vatrack.evaluation.predictions import Predictions
from vatrack.rle import Floats, Ints


@dataclass(frozen=True)
class PredictedTracks:
    """K predicted tracks by video, then track id, and their M masks.

    `video`, `category` [K]: that of the first detection (quirk E8); `score` [K]: mean of the detections' scores (as float32);
    `area` [K]: mean of the mask areas that are not zero (quirk E3); `total` [K]: pixels of all masks. `masks` has M rows in
    order of time with the track's category; `track` [M] is their track, `mask_area` [M] their pixels, `row` [M] their row among
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


def predicted_tracks(predictions: Predictions, images: Images, kind: str, limit: int) -> PredictedTracks:
    """Gathers the detections that have a `kind` of mask into tracks; keeps the `limit` best of each class and video (E9)."""
    rows, masks = with_mask(predictions, kind)
    image = predictions.image[rows]
    order = np.lexsort((images.position[image], predictions.track[rows], images.video[image]))
    rows, image = rows[order], image[order]
    new = np.ones(len(rows), bool)
    new[1:] = (np.diff(images.video[image]) != 0) | (np.diff(predictions.track[rows]) != 0)
    first, track = np.flatnonzero(new), np.cumsum(new) - 1
    number = len(first)
    area = predictions.area[kind][rows]
    total = np.bincount(track, area, minlength=number)
    video, category = images.video[image[first]], predictions.category[rows[first]]
    # Float32 values, as a detector's scores are, add up exactly in float64: tracks with equal scores tie at any length.
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
        masks=MaskRows(image[kept_rows], category[track[kept_rows]], [masks.counts[order[i]] for i in kept_rows]),
        track=(np.cumsum(kept) - 1)[track[kept_rows]],
        mask_area=area[kept_rows],
        row=rows[kept_rows],
    )


def track_mask_overlaps(
    predicted: PredictedTracks,
    true: TrueTracks,
    predictions: Predictions,
    objects: TrueObjects,
    frame_pairs: Overlaps,
    images: Images,
) -> Overlaps:
    """Pairs of rows of `predicted.masks` and `true.masks` of the same image and class that overlap.

    Most are known from the frames: where a detection has the class of its track, and a true track's mask is one of the objects.
    Only the others are compared.

    Args:
        predicted: tracks of `predictions`.
        true: true tracks.
        predictions: detections.
        objects: true objects of the frames with the same kind of mask.
        frame_pairs: from `image.frame_overlaps` of these two.
        images: the images.
    """
    place = dict(zip(_keys(objects.masks), range(len(objects.id)), strict=True))
    object_row = np.array([place.get(key, -1) for key in _keys(true.masks)], np.int64)
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
    parts = [(detection[known], truth[known], frame_pairs.iou[known])]
    for mine, others in ((~own_class, np.ones(len(listed), bool)), (own_class, ~listed)):
        rows, columns = np.flatnonzero(mine), np.flatnonzero(others)
        found = mask_overlaps(_chosen(predicted.masks, rows), _chosen(true.masks, columns), images.size)
        parts.append((rows[found.detection], columns[found.truth], found.iou))
    return Overlaps(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _keys(masks: MaskRows) -> Iterator[tuple[int, int, bytes]]:
    return zip(masks.image.tolist(), masks.category.tolist(), masks.counts, strict=True)


def _chosen(masks: MaskRows, rows: Ints) -> MaskRows:
    return MaskRows(masks.image[rows], masks.category[rows], [masks.counts[row] for row in rows.tolist()])


def track_overlaps(predicted: PredictedTracks, true: TrueTracks, pairs: Overlaps) -> Overlaps:
    """Pairs of tracks of the same video and class whose space-time IoU is at least 0.5.

    IoU = sum of the intersections / sum of the unions over all frames; the unions follow from the tracks' totals.

    Args:
        predicted: predicted tracks.
        true: true tracks.
        pairs: which of their masks overlap, from `track_mask_overlaps`.
    """
    intersection = intersections(pairs.iou, predicted.mask_area[pairs.detection], true.mask_area[pairs.truth])
    width = max(len(true.id), 1)
    keys, group = np.unique(predicted.track[pairs.detection] * width + true.track[pairs.truth], return_inverse=True)
    common = np.bincount(group, intersection, minlength=len(keys))
    detection, truth = keys // width, keys % width
    iou = common / (predicted.total[detection] + true.total[truth] - common)
    kept = iou >= LOWEST_IOU
    return Overlaps(detection[kept], truth[kept], iou[kept])


def video_matches(
    predicted: PredictedTracks, true: TrueTracks, overlaps: Overlaps, limit: int, *, legacy_gt_id0: bool
) -> Matches:
    """Which predicted tracks find which true ones (arguments as in `image_matches`); a crowd takes any number of tracks."""
    return match(
        Detections(predicted.video, predicted.category, predicted.score, predicted.area),
        Truths(true.category, true.area, true.rate, true.crowd, (true.id != 0) | (not legacy_gt_id0)),
        overlaps,
        limit,
    )
