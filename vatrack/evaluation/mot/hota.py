"""HOTA, DetA, AssA and LocA with TrackEval (Luiten et al., IJCV 2021,
https://doi.org/10.1007/s11263-020-01375-2).

All four are means over 19 IoU thresholds, 0.05 to 0.95. TrackEval evaluates a sequence (one class
in one video) in time and memory that grow with every frame and every identity of it. It gets a
shorter form of the same sequence, from which it computes the same numbers: frames in which nothing
overlaps are left out, identities that never overlap anything share one number, and what has been
left out is handed in afterwards, as frames with objects only or detections only.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vatrack.common.rle import Floats, Ints
from vatrack.evaluation.ap.matching import count_earlier
from vatrack.evaluation.mot.sequences import Frames, Sequences, Side

if TYPE_CHECKING:
    from trackeval.metrics import HOTA

# Bytes for its tables of identities by identities, of which it holds one for every threshold at
# once.
MEMORY = 1 << 29
THRESHOLD_COUNT = 19
_LOADING = Lock()

Values = tuple[float, ...]
# What TrackEval says of a sequence in which nothing is matched.
NO_MATCH: tuple[Values, Values, Values] = (
    (0.0,) * THRESHOLD_COUNT,
    (0.0,) * THRESHOLD_COUNT,
    (1.0,) * THRESHOLD_COUNT,
)


@dataclass(frozen=True)
class HotaResult:
    """TrackEval's result of one sequence, at each threshold: `matches` (HOTA_TP), `association`
    (AssA), `localisation` (LocA).

    `objects`, `predictions`: what there is in the sequence; misses and false alarms follow from
    them.
    """

    objects: int
    predictions: int
    matches: Values
    association: Values
    localisation: Values


def hota_results(sequences: Sequences, frames: Frames) -> list[HotaResult]:
    """TrackEval's result of every sequence.

    Args:
        sequences: objects and detections.
        frames: the frames with at least one pair of IoU above 0, from `frames_of`.
    """
    number = np.arange(len(sequences.category))
    sides = (sequences.objects, sequences.detections)
    # First row and end of every sequence among the objects, detections and frames.
    bounds = [
        np.stack(
            [np.searchsorted(column, number, side=side) for side in ("left", "right")], 1
        ).tolist()
        for column in (*(side.sequence for side in sides), frames.sequence)
    ]
    overlapping = [np.zeros(side.identities, bool) for side in sides]
    for flags, side, rows in zip(
        overlapping, sides, (frames.overlaps.truth, frames.overlaps.detection), strict=True
    ):
        flags[side.identity[rows]] = True
    results = []
    for objects, detections, own in zip(*bounds, strict=True):
        matches, association, localisation = NO_MATCH
        if own[1] > own[0]:
            data = _compact(
                frames,
                own,
                *map(
                    _ids,
                    sides,
                    overlapping,
                    (frames.objects, frames.detections),
                    (objects, detections),
                    (own, own),
                ),
            )
            pairs = slice(frames.pairs[own[0], 0], frames.pairs[own[1] - 1, 1])
            matches, association, localisation = _evaluate(data, frames.overlaps.iou[pairs])
        results.append(
            HotaResult(
                objects[1] - objects[0],
                detections[1] - detections[0],
                matches,
                association,
                localisation,
            )
        )
    return results


def hota_metrics(results: Iterable[tuple[int, HotaResult]]) -> dict[str, float | None]:
    """HOTA, DetA, AssA and LocA in percent of any number of sequences, each with its category id.

    Sequences are combined to classes by TrackEval's `combine_sequences` and classes by its
    `combine_classes_det_averaged`: counts are summed, AssA and LocA averaged with every match
    counting the same, at each threshold. Undefined (None) are all where there is neither object nor
    detection, and LocA where nothing is matched.
    """
    by_class: dict[int, dict[int, dict[str, Any]]] = {}
    for number, (category, result) in enumerate(results):
        by_class.setdefault(category, {})[number] = _fields(result)
    if not by_class:
        return dict.fromkeys(("HOTA", "DetA", "AssA", "LocA"))
    metric = _metric_class()()
    classes = {
        category: metric.combine_sequences(sequences) for category, sequences in by_class.items()
    }
    total = metric.combine_classes_det_averaged(classes)
    metrics: dict[str, float | None] = {
        name: 100 * float(np.mean(total[name])) for name in ("HOTA", "DetA", "AssA", "LocA")
    }
    return metrics if total["HOTA_TP"].any() else metrics | {"LocA": None}


@cache
def _metric_class() -> type[HOTA]:
    # TrackEval prints when results of it that are not used here lack a library. Two threads that
    # redirect at once would leave the output redirected.
    with _LOADING, redirect_stdout(io.StringIO()):
        from trackeval.metrics import HOTA
    return HOTA


def _fields(result: HotaResult) -> dict[str, Floats]:
    matches = np.array(result.matches)
    return {
        "HOTA_TP": matches,
        "HOTA_FN": result.objects - matches,
        "HOTA_FP": result.predictions - matches,
        "AssA": np.array(result.association),
        "LocA": np.array(result.localisation),
        # TrackEval combines these two, too; nothing depends on them and they are not reported.
        "AssRe": np.zeros_like(matches),
        "AssPr": np.zeros_like(matches),
    }


@dataclass(frozen=True)
class _Ids:
    """The identities of one side of a sequence, numbered from 0: in each of its frames, and in
    frames handed in afterwards."""

    number: int
    occurrences: int
    frames: list[Ints]
    afterwards: list[Ints]


class _Similarities(Sequence[Floats]):
    """IoU of every frame of a compact sequence, made when asked for: all of a long video would not
    fit into memory."""

    def __init__(
        self, frames: Frames, first: int, shapes: list[tuple[int, int]], given: int
    ) -> None:
        self._frames, self._first, self._shapes, self._given = frames, first, shapes, given

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, time: Any) -> Any:
        return (
            self._frames.similarity(self._first + time)
            if time < self._given
            else np.zeros(self._shapes[time])
        )


def _ids(
    side: Side,
    overlapping: NDArray[np.bool_],
    bounds: Ints,
    span: Sequence[int],
    own: Sequence[int],
) -> _Ids:
    """Numbers one side of a sequence.

    Args:
        side: objects or detections of all sequences.
        overlapping: by identity, whether it ever overlaps anything.
        bounds: first row and end of each frame.
        span: first row and end of the sequence.
        own: its first frame and their end.
    """
    first, stop = span
    identity = side.identity[first:stop]
    lowest = identity.min()
    flags = overlapping[lowest : identity.max() + 1]
    others = int(np.count_nonzero(flags))  # the number that all identities without an overlap share
    ids = np.where(flags, np.cumsum(flags) - 1, others)[identity - lowest]
    frames = [ids[start - first : end - first] for start, end in bounds[own[0] : own[1]].tolist()]

    # An identity may be in a frame once only. Those that share a number may all be in one: nothing
    # depends on how often.
    left_out = np.ones(len(ids), bool)
    left_out[
        np.concatenate([np.arange(start, end) for start, end in bounds[own[0] : own[1]].tolist()])
        - first
    ] = False
    rest = np.sort(ids[left_out])
    time = np.where(rest < others, count_earlier(rest), 0)
    order = np.argsort(time, kind="stable")
    afterwards = (
        np.split(rest[order], np.flatnonzero(np.diff(time[order])) + 1) if len(rest) else []
    )
    return _Ids(others + int(not flags.all()), len(ids), frames, afterwards)


def _compact(frames: Frames, own: Sequence[int], objects: _Ids, detections: _Ids) -> dict[str, Any]:
    """A sequence as TrackEval takes it."""
    none = np.empty(0, np.int64)
    gt_ids = objects.frames + objects.afterwards + [none] * len(detections.afterwards)
    tracker_ids = detections.frames + [none] * len(objects.afterwards) + detections.afterwards
    shapes = [(len(true), len(found)) for true, found in zip(gt_ids, tracker_ids, strict=True)]
    return {
        "num_timesteps": len(gt_ids),
        "num_gt_ids": objects.number,
        "num_gt_dets": objects.occurrences,
        "gt_ids": gt_ids,
        "num_tracker_ids": detections.number,
        "num_tracker_dets": detections.occurrences,
        "tracker_ids": tracker_ids,
        "similarity_scores": _Similarities(frames, own[0], shapes, own[1] - own[0]),
    }


def _evaluate(data: dict[str, Any], similarities: Floats) -> tuple[Values, Values, Values]:
    """TrackEval's HOTA_TP, AssA and LocA of a sequence with these similarities above 0 in any
    frame, in any order."""
    metric = _metric_class()()
    thresholds = metric.array_labels
    # Thresholds between which no similarity lies have the same result, so one of them is enough.
    reached = len(similarities) - np.searchsorted(
        np.sort(similarities), thresholds - np.finfo(float).eps
    )
    _, chosen, meaning = np.unique(reached, return_index=True, return_inverse=True)
    at_once = max(MEMORY // (8 * data["num_gt_ids"] * data["num_tracker_ids"]) - 4, 1)
    results = []
    for start in range(0, len(chosen), at_once):
        metric.array_labels = thresholds[chosen[start : start + at_once]]
        result = metric.eval_sequence(data)
        results.append([result[name] for name in ("HOTA_TP", "AssA", "LocA")])
    matches, association, localisation = np.concatenate(results, axis=1)[:, meaning].tolist()
    return tuple(matches), tuple(association), tuple(localisation)
