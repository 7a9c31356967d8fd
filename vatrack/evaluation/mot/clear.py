"""CLEAR-MOT matches by motmetrics' accumulator, and identity matches, of many sequences at once
(spec 6.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from vatrack.common.rle import Floats, Ints
from vatrack.evaluation.ap.matching import count_earlier
from vatrack.evaluation.mot.sequences import Frames, Sequences

if TYPE_CHECKING:
    from motmetrics import MOTAccumulator

# pairs handed to the accumulator at once: its work grows with the square, its overhead is that of
# some ten pairs
PACK = 32
EVENTS = 1 << 16  # events after which they are read and dropped: an event takes some 300 bytes


@dataclass(frozen=True)
class ClearMatches:
    """`found` [O]: in how many frames each object identity is found; by sequence [S]: identity
    `switches`, sum of `distance`
    (1 - IoU) over the matches.
    """

    found: Ints
    switches: Ints
    distance: Floats


def clear_matches(sequences: Sequences, frames: Frames) -> ClearMatches:
    """Matches objects and detections frame by frame, as CLEAR MOT asks: old partners first, then
    the least distance.

    One accumulator serves all sequences, as they share no identity. Frames without a pair change
    nothing but the numbers of misses and false alarms, so it does not see them.
    """
    sequence = np.zeros(sequences.objects.identities, np.int64)
    sequence[sequences.objects.identity] = sequences.objects.sequence
    found = np.zeros(len(sequence), np.int64)
    switches, distance = (np.zeros(len(sequences.category)) for _ in range(2))
    for events in _events(sequences, frames):
        types = events["Type"].to_numpy()
        switch = types == "SWITCH"
        chosen = (types == "MATCH") | switch
        who = events["OId"].to_numpy()[chosen].astype(np.int64)
        found += np.bincount(who, minlength=len(found))
        switches += np.bincount(sequence[who], switch[chosen], minlength=len(switches))
        distance += np.bincount(
            sequence[who], events["D"].to_numpy()[chosen], minlength=len(distance)
        )
    return ClearMatches(found, switches.astype(np.int64), distance)


def identity_matches(sequences: Sequences, frames: Frames) -> Ints:
    """Pairs that agree with the best one-to-one map between the identities of a sequence (IDTP), by
    sequence [S]."""
    from motmetrics.lap import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    result = np.zeros(len(sequences.category), np.int64)
    objects, tracks = sequences.objects.identities, max(sequences.detections.identities, 1)
    truth, detection = frames.overlaps.truth, frames.overlaps.detection
    keys, first, together = np.unique(
        sequences.objects.identity[truth] * tracks + sequences.detections.identity[detection],
        return_index=True,
        return_counts=True,
    )
    # Identities that never meet, not even through others, are mapped on their own: the matrices
    # stay small in long videos.
    graph = coo_array(
        (np.ones(len(keys)), (keys // tracks, objects + keys % tracks)),
        shape=(objects + tracks,) * 2,
    )
    component = connected_components(graph, directed=False)[1][keys // tracks]
    order = np.argsort(component, kind="stable")
    bounds = np.flatnonzero(np.diff(component[order], prepend=-1, append=-1))
    for start, stop in pairwise(bounds.tolist()):
        edges = order[start:stop]
        rows, i = np.unique(keys[edges] // tracks, return_inverse=True)
        columns, j = np.unique(keys[edges] % tracks, return_inverse=True)
        table = np.zeros((len(rows), len(columns)), np.int64)
        table[i, j] = together[edges]
        best = table.max() if min(table.shape) == 1 else table[linear_sum_assignment(-table)].sum()
        result[sequences.objects.sequence[truth[first[edges[0]]]]] += best
    return result


def _events(sequences: Sequences, frames: Frames) -> Iterator[Any]:
    """The accumulator's events, some at a time, as data frames."""
    from motmetrics import MOTAccumulator

    accumulator = MOTAccumulator()
    seen = 0
    for time, (objects, detections, distances) in zip(count(), _updates(frames), strict=False):
        accumulator.update(
            sequences.objects.identity[objects],
            sequences.detections.identity[detections],
            distances,
            frameid=time,
        )
        seen += len(objects) + len(detections) + int(np.isfinite(distances).sum())
        if seen > EVENTS:
            yield accumulator.events
            accumulator, seen = _continued(accumulator), 0
    if seen:
        yield accumulator.events


def _continued(old: MOTAccumulator) -> MOTAccumulator:
    """An accumulator without events that remembers who was matched with whom."""
    from motmetrics import MOTAccumulator

    new = MOTAccumulator()
    for memory in ("m", "res_m", "last_occurrence", "last_match", "hypHistory"):
        setattr(new, memory, getattr(old, memory))
    return new


def _updates(frames: Frames) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Indices of objects [n] and detections [m] and their distances [n, m], in order of time.

    A distance is NaN where there is no match.

    Round k has the k-th frame of every sequence. Where no object has two candidates and no
    detection is wanted twice, there is nothing to choose: such frames go together, with nothing but
    their pairs, since most of the accumulator's time is the same for any size. All other frames go
    whole and alone, as ties depend on everything in a frame.
    """
    pairs = frames.overlaps
    frame = np.repeat(np.arange(len(frames.sequence)), np.diff(frames.pairs, axis=1).ravel())
    repeated = (np.bincount(pairs.truth)[pairs.truth] > 1) | (
        np.bincount(pairs.detection)[pairs.detection] > 1
    )
    contested = np.zeros(len(frames.sequence), bool)
    contested[frame[repeated]] = True
    rounds = count_earlier(frames.sequence)
    order = np.argsort(rounds, kind="stable")
    for chosen in np.split(order, np.flatnonzero(np.diff(rounds[order])) + 1):
        for number in chosen[contested[chosen]].tolist():
            distances = 1 - frames.similarity(number)
            distances[distances == 1] = np.nan
            yield (
                np.arange(*frames.objects[number]),
                np.arange(*frames.detections[number]),
                distances,
            )
        simple = [
            np.arange(*frames.pairs[number]) for number in chosen[~contested[chosen]].tolist()
        ]
        together = np.concatenate(simple) if simple else np.empty(0, np.int64)
        for start in range(0, len(together), PACK):
            chunk = together[start : start + PACK]
            distances = np.full((len(chunk), len(chunk)), np.nan)
            np.fill_diagonal(distances, 1 - pairs.iou[chunk])
            yield pairs.truth[chunk], pairs.detection[chunk], distances
