"""Tracking figures: CLEAR-MOT and ID measures on masks, per class and video (spec 6.4), with motmetrics' accumulator.

A detection counts with its own class in each frame; every annotation of the frame-level ground truth counts, however
occluded. A pair may match when its mask IoU is at least 0.5.

What is averaged: nothing. Counts are summed over videos, then over classes, and the ratios are taken of the sums, so every
object counts the same. (The original's overall row averages over classes and mixes some of them up, quirk E11.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import motmetrics
import numpy as np

from vatrack.evaluation.ground_truth import Images, TrueObjects
from vatrack.evaluation.image import with_mask
from vatrack.evaluation.overlaps import Overlaps, group_rows
from vatrack.evaluation.predictions import Predictions
from vatrack.rle import Floats, Ints

MOSTLY_TRACKED, MOSTLY_LOST = 0.8, 0.2  # share of an object's frames in which it is found


@dataclass(frozen=True)
class TrackCounts:
    """Counts of one class in one video.

    `objects`, `predictions`: masks in all frames; `matches`: found objects, identity switches among them; `switches`;
    `mostly_tracked`, `mostly_lost`: objects; `idtp`: matches under the best one-to-one map of identities;
    `distance`: sum of 1 - IoU over the matches.
    """

    category: int
    video: int
    objects: int
    predictions: int
    matches: int
    switches: int
    mostly_tracked: int
    mostly_lost: int
    idtp: int
    distance: float

    @property
    def misses(self) -> int:
        return self.objects - self.matches

    @property
    def false_positives(self) -> int:
        return self.predictions - self.matches


def track_counts(
    predictions: Predictions, objects: TrueObjects, overlaps: Overlaps, images: Images, kind: str
) -> list[TrackCounts]:
    """Counts of every class and video that has an object or a detection, by class, then video.

    Args:
        predictions: all detections.
        objects: all true objects with this kind of mask.
        overlaps: the pairs of the same class with IoU >= 0.5, from `image.frame_overlaps`.
        images: the images.
        kind: amodal or visible.
    """
    rows, _ = with_mask(predictions, kind)
    width = max(images.categories, default=0) + 1
    frame_of_detection = predictions.image * width + predictions.category
    frame_of_object = objects.masks.image * width + objects.masks.category
    detections_in = group_rows(frame_of_detection[rows], rows)
    objects_in = group_rows(frame_of_object)
    # A sequence is one class in one video.
    detection_sequences = group_rows(images.video[predictions.image[rows]] * width + predictions.category[rows], rows)
    object_sequences = group_rows(images.video[objects.masks.image] * width + objects.masks.category)
    pair_image = objects.masks.image[overlaps.truth]
    pair_sequences = group_rows(images.video[pair_image] * width + objects.masks.category[overlaps.truth])

    result = []
    for key in sorted(detection_sequences.keys() | object_sequences.keys(), key=lambda key: (key % width, key // width)):
        instances, lengths = np.unique(objects.instance[object_sequences.get(key, _NONE)], return_counts=True)
        pairs = pair_sequences.get(key, _NONE)
        pairs = pairs[np.argsort(images.position[pair_image[pairs]], kind="stable")]
        accumulator = motmetrics.MOTAccumulator()
        # Frames without a pair change nothing but the numbers of misses and false positives.
        for frame_pairs in _runs(frame_of_object[overlaps.truth[pairs]], pairs):
            frame = int(frame_of_object[overlaps.truth[frame_pairs[0]]])
            true_rows, found_rows = objects_in[frame], detections_in[frame]
            distances = np.full((len(true_rows), len(found_rows)), np.nan)
            i = np.searchsorted(true_rows, overlaps.truth[frame_pairs])
            j = np.searchsorted(found_rows, overlaps.detection[frame_pairs])
            distances[i, j] = 1 - overlaps.iou[frame_pairs]
            position = int(images.position[frame // width])
            accumulator.update(objects.instance[true_rows], predictions.track[found_rows], distances, frameid=position)
        found, switches, distance = _outcome(accumulator, instances) if len(pairs) else (np.zeros_like(lengths), 0, 0.0)
        share = found / lengths
        result.append(
            TrackCounts(
                category=key % width,
                video=key // width,
                objects=int(lengths.sum()),
                predictions=len(detection_sequences.get(key, _NONE)),
                matches=int(found.sum()),
                switches=switches,
                mostly_tracked=int((share >= MOSTLY_TRACKED).sum()),
                mostly_lost=int((share < MOSTLY_LOST).sum()),
                idtp=_identity_matches(objects.instance[overlaps.truth[pairs]], predictions.track[overlaps.detection[pairs]]),
                distance=distance,
            )
        )
    return result


def track_figures(counts: Iterable[TrackCounts]) -> dict[str, float | None]:
    """Figures of the summed counts: MOTA, MOTP (mean IoU of the matches) and IDF1 in percent, the rest are numbers."""
    rows = list(counts)

    def total(name: str) -> float:
        return sum(getattr(row, name) for row in rows)

    matches, objects, predicted = total("matches"), total("objects"), total("predictions")
    wrong = total("misses") + total("false_positives") + total("switches")
    return {
        "MOTA": 100 * (1 - wrong / objects) if objects else None,
        "MOTP": 100 * (1 - total("distance") / matches) if matches else None,
        "IDF1": 100 * 2 * total("idtp") / (objects + predicted) if objects + predicted else None,
        "IDs": total("switches"),
        "MT": total("mostly_tracked"),
        "ML": total("mostly_lost"),
        "FP": total("false_positives"),
        "FN": total("misses"),
    }


def track_figures_by_class(counts: Iterable[TrackCounts]) -> dict[int, dict[str, float | None]]:
    """`track_figures` of every class."""
    by_class: dict[int, list[TrackCounts]] = {}
    for row in counts:
        by_class.setdefault(row.category, []).append(row)
    return {category: track_figures(rows) for category, rows in by_class.items()}


_NONE = np.empty(0, np.int64)


def _runs(keys: Ints, values: Ints) -> list[Ints]:
    """Splits values where neighbouring keys differ."""
    return np.split(values, np.flatnonzero(np.diff(keys)) + 1) if len(values) else []


def _outcome(accumulator: motmetrics.MOTAccumulator, instances: Ints) -> tuple[Ints, int, float]:
    """In how many frames each instance is found, the identity switches, and the sum of the distances."""
    events = accumulator.events  # an expensive data frame
    kinds = events["Type"].to_numpy()
    switch = kinds == "SWITCH"
    found = (kinds == "MATCH") | switch
    which = np.searchsorted(instances, events["OId"].to_numpy()[found].astype(np.int64))
    distance: Floats = events["D"].to_numpy()[found].astype(np.float64)
    return np.bincount(which, minlength=len(instances)), int(switch.sum()), float(distance.sum())


def _identity_matches(instances: Ints, tracks: Ints) -> int:
    """Overlapping pairs that agree with the best one-to-one map between instances and tracks (IDTP)."""
    rows, i = np.unique(instances, return_inverse=True)
    columns, j = np.unique(tracks, return_inverse=True)
    together = np.bincount(i * len(columns) + j, minlength=len(rows) * len(columns)).reshape(len(rows), len(columns))
    best = motmetrics.lap.linear_sum_assignment(-together)
    return int(together[best].sum())
