"""Tracking metrics per class and video (spec 6.4): CLEAR MOT and ID measures with motmetrics, HOTA
with TrackEval.

A detection counts with its own class in each frame; every annotation of the frame-level ground
truth counts, however occluded. For CLEAR MOT and ID measures a pair may match when its IoU is at
least 0.5; HOTA has thresholds from 0.05 on. All metrics take overlaps as they come, so that those
of masks and of boxes are made in the same way.

How metrics of classes and the overall ones are made: counts are summed over videos, then over
classes, and the ratios are taken of the sums, so every object counts the same. HOTA follows the
same rule with TrackEval's detection-averaged combination (see `hota.hota_metrics`). No metric is a
mean over classes. (The original's overall row averages over classes and mixes some of them up,
quirk E11.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vatrack.common.mask_types import MaskType
from vatrack.evaluation.ap.overlaps import Overlaps
from vatrack.evaluation.io.ground_truth import Images, TrueObjects
from vatrack.evaluation.io.predictions import Predictions
from vatrack.evaluation.mot.clear import clear_matches, identity_matches
from vatrack.evaluation.mot.hota import HotaResult, hota_metrics, hota_results
from vatrack.evaluation.mot.sequences import frames_of, sequences_of

MATCH_IOU = 0.5  # of a match in CLEAR MOT and ID measures
MOSTLY_TRACKED, MOSTLY_LOST = 0.8, 0.2  # share of an object's frames in which it is found


@dataclass(frozen=True)
class TrackCounts:
    """Counts of one class in one video.

    `objects`, `predictions`: masks in all frames; `matches`: found objects, identity switches among
    them; `switches`; `mostly_tracked`, `mostly_lost`: objects; `idtp`: matches under the best
    one-to-one map of identities; `distance`: sum of 1 - IoU over the matches; `hota`: TrackEval's
    result.
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
    hota: HotaResult

    @property
    def misses(self) -> int:
        return self.objects - self.matches

    @property
    def false_positives(self) -> int:
        return self.predictions - self.matches


def track_counts(
    predictions: Predictions,
    objects: TrueObjects,
    overlaps: Overlaps,
    images: Images,
    mask_type: MaskType,
) -> list[TrackCounts]:
    """Counts of every class and video that has an object or a detection, by class, then video.

    Args:
        predictions: all detections.
        objects: all true objects with this mask type.
        overlaps: the pairs of the same class with IoU above 0, from `image.frame_overlaps` or
            `image.frame_box_overlaps`.
        images: the images.
        mask_type: amodal or visible: detections without such a mask do not count, in the metrics of
            boxes neither.
    """
    sequences = sequences_of(predictions, objects, overlaps, images, mask_type)
    matching = frames_of(sequences, MATCH_IOU)
    clear, idtp = clear_matches(sequences, matching), identity_matches(sequences, matching)
    hota = hota_results(sequences, frames_of(sequences, 0.0))

    number = len(sequences.category)
    true, found = (
        np.bincount(side.sequence, minlength=number)
        for side in (sequences.objects, sequences.detections)
    )
    lengths = np.bincount(sequences.objects.identity)
    share = clear.found / lengths
    sequence = np.zeros(len(lengths), np.int64)
    sequence[sequences.objects.identity] = sequences.objects.sequence
    matches, tracked, lost = (
        np.bincount(sequence, weights, minlength=number).astype(np.int64)
        for weights in (clear.found, share >= MOSTLY_TRACKED, share < MOSTLY_LOST)
    )
    columns = (
        sequences.category,
        sequences.video,
        true,
        found,
        matches,
        clear.switches,
        tracked,
        lost,
        idtp,
        clear.distance,
    )
    rows = zip(*(column.tolist() for column in columns), hota, strict=True)
    return [TrackCounts(*row) for row in rows]


def track_metrics(counts: Iterable[TrackCounts]) -> dict[str, float | None]:
    """Metrics of the summed counts: HOTA, DetA, AssA, LocA, MOTA, MOTP (mean IoU of the matches)
    and IDF1 in percent, the rest
    are numbers. Those in percent are None where they are undefined.
    """
    rows = list(counts)

    def total(name: str) -> float:
        return sum(getattr(row, name) for row in rows)

    matches, objects, predicted = total("matches"), total("objects"), total("predictions")
    wrong = total("misses") + total("false_positives") + total("switches")
    return hota_metrics((row.category, row.hota) for row in rows) | {
        "MOTA": 100 * (1 - wrong / objects) if objects else None,
        "MOTP": 100 * (1 - total("distance") / matches) if matches else None,
        "IDF1": 100 * 2 * total("idtp") / (objects + predicted) if objects + predicted else None,
        "IDs": total("switches"),
        "MT": total("mostly_tracked"),
        "ML": total("mostly_lost"),
        "FP": total("false_positives"),
        "FN": total("misses"),
    }


def track_metrics_by_class(counts: Iterable[TrackCounts]) -> dict[int, dict[str, float | None]]:
    """`track_metrics` of every class."""
    by_class: dict[int, list[TrackCounts]] = {}
    for row in counts:
        by_class.setdefault(row.category, []).append(row)
    return {category: track_metrics(rows) for category, rows in by_class.items()}
