"""Average precision with a size and an occlusion axis (spec 6.2). Images and videos use the same engine.

COCO's protocol, computed for one class at a time. Letters in shapes: D detections, G true objects, P overlapping pairs,
T = 10 IoU thresholds, S = 7 settings, R = 101 recall points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vatrack.evaluation.overlaps import Overlaps
from vatrack.rle import Floats, Ints

Bools = NDArray[np.bool_]

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
RECALLS: Floats = np.linspace(0.0, 1.0, 101)
LOWEST_IOU = 0.5


@dataclass(frozen=True)
class Setting:
    """Which true objects count: area in pixels and occlusion rate, both ends inclusive (quirk E5)."""

    name: str
    area: tuple[float, float] = (0.0, 1e10)
    rate: tuple[float, float] = (0.0, 0.75)


SETTINGS = (
    Setting("all"),
    Setting("S", area=(0.0, 32.0**2)),
    Setting("M", area=(32.0**2, 96.0**2)),
    Setting("L", area=(96.0**2, 1e10)),
    Setting("P", rate=(0.0, 0.25)),
    Setting("OM", rate=(0.25, 0.5)),
    Setting("H", rate=(0.25, 0.75)),
)


@dataclass(frozen=True)
class Detections:
    """Predictions of one class. `unit` [D]: index of the image or video; `score` [D]; `area` [D] in pixels.

    Equal scores rank by unit, then by row.
    """

    unit: Ints
    score: Floats
    area: Floats


@dataclass(frozen=True)
class Truths:
    """True objects of one class: `area` [G], occlusion `rate` [G], `crowd` [G] (never counted).

    `matchable` [G] is False for an object that takes a detection and still counts as missed (quirk E1).
    Among objects of equal IoU the later row wins.
    """

    area: Floats
    rate: Floats
    crowd: Bools
    matchable: Bools


def precision(detections: Detections, truths: Truths, overlaps: Overlaps, limits: Sequence[int]) -> Floats:
    """Interpolated precision of one class.

    Args:
        detections: all predictions of the class.
        truths: all true objects of the class.
        overlaps: the pairs with IoU >= 0.5, by row number; both sides of a pair are in the same unit.
        limits: how many of the best detections of a unit count; one result for each.

    Returns:
        [len(limits), T, S, R]; -1 in settings without a true object that counts.
    """
    ignored = _ignored_truths(truths)
    counted = np.count_nonzero(~ignored, axis=0)
    result = np.full((len(limits), len(THRESHOLDS), len(SETTINGS), len(RECALLS)), -1.0)
    # Within a unit and between units: best first, ties by unit, then row (a stable sort, as COCO's).
    order = np.lexsort((detections.unit, -detections.score))
    rank = rank_in_unit(detections.unit[order])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    kept = rank[place[overlaps.detection]] < max(limits)
    pair_place, pair_truth, pair_iou = place[overlaps.detection[kept]], overlaps.truth[kept], overlaps.iou[kept]

    rows, hit, hit_ignored = _match(detections.unit[order], rank, pair_place, pair_truth, pair_iou, truths.matchable, ignored)
    outside = _outside(detections.area[order], [setting.area for setting in SETTINGS])
    # A detection that found nothing is a false positive, unless its own area is outside the range (occlusion: always one).
    hit_ignored |= ~hit & outside[rows][:, None, :]
    for number, limit in enumerate(limits):
        within = rank < limit
        if number and np.array_equal(within, rank < limits[number - 1]):
            result[number] = result[number - 1]
            continue
        for s in np.flatnonzero(counted):
            ignore = outside[:, s].copy()
            true_positive = np.zeros(len(order), bool)
            for t in range(len(THRESHOLDS)):
                ignore[rows] = hit_ignored[:, t, s]
                true_positive[rows] = hit[:, t, s]
                shown = within & ~ignore
                result[number, t, s] = _interpolate(true_positive[shown], int(counted[s]))
    return result


def precision_by_class(
    category: Ints, detections: Detections, true_category: Ints, truths: Truths, overlaps: Overlaps, limits: Sequence[int]
) -> dict[int, Floats]:
    """`precision` of every class that has a true object, by category id.

    `category` [D] and `true_category` [G] belong to the rows of `detections` and `truths`; pairs are of one class.
    """
    result = {}
    pair_category = true_category[overlaps.truth]
    for chosen in np.unique(true_category).tolist():
        d, g, p = np.flatnonzero(category == chosen), np.flatnonzero(true_category == chosen), pair_category == chosen
        result[chosen] = precision(
            Detections(detections.unit[d], detections.score[d], detections.area[d]),
            Truths(truths.area[g], truths.rate[g], truths.crowd[g], truths.matchable[g]),
            Overlaps(np.searchsorted(d, overlaps.detection[p]), np.searchsorted(g, overlaps.truth[p]), overlaps.iou[p]),
            limits,
        )
    return result


def rank_in_unit(units: Ints) -> Ints:
    """For units in ranking order: how many earlier entries have the same unit."""
    grouped = np.argsort(units, kind="stable")
    sorted_units = units[grouped]
    new = np.flatnonzero(np.diff(sorted_units, prepend=-1))
    starts = np.repeat(new, np.diff(np.append(new, len(units))))
    rank = np.empty(len(units), np.int64)
    rank[grouped] = np.arange(len(units)) - starts
    return rank


def average(values: Floats) -> float | None:
    """Mean of the entries that are defined (not -1), in percent; None where there is none."""
    defined = values[values > -1]
    return float(defined.mean()) * 100 if defined.size else None


def summarise(by_class: Sequence[Floats]) -> dict[str, float | None]:
    """The nine reported figures in percent from the `precision` of every class.

    AP reads the first limit and all thresholds; everything else the last limit. All but AP and AP75 are at IoU 0.5.
    """
    if not by_class:
        empty = np.full((1, len(THRESHOLDS), len(SETTINGS), len(RECALLS)), -1.0)
        by_class = [empty]
    stacked = np.stack(by_class)
    names = [setting.name for setting in SETTINGS]
    figures = {"AP": average(stacked[:, 0, :, 0])}
    figures["AP50"] = average(stacked[:, -1, 0, 0])
    figures["AP75"] = average(stacked[:, -1, 5, 0])
    for name in ("P", "OM", "H", "L", "M", "S"):
        figures[f"AP50_{name}"] = average(stacked[:, -1, 0, names.index(name)])
    return figures


def class_figures(values: Floats) -> dict[str, float | None]:
    """AP and AP50 of one class in percent, both with the last limit."""
    return {"AP": average(values[-1, :, 0]), "AP50": average(values[-1, 0, 0])}


def _ignored_truths(truths: Truths) -> Bools:
    """[G, S]: objects that do not count in a setting."""
    outside = _outside(truths.area, [setting.area for setting in SETTINGS])
    outside |= _outside(truths.rate, [setting.rate for setting in SETTINGS])
    return outside | truths.crowd[:, None]


def _outside(values: Floats, ranges: Sequence[tuple[float, float]]) -> Bools:
    low, high = np.array(ranges).T
    return (values[:, None] < low) | (values[:, None] > high)


def _match(
    units: Ints, rank: Ints, pair_place: Ints, pair_truth: Ints, pair_iou: Floats, matchable: Bools, ignored: Bools
) -> tuple[Ints, Bools, Bools]:
    """Greedy matching, best detection first, for all thresholds and settings together.

    Units do not touch each other, so round k handles the k-th detection of every unit at once; only detections that
    overlap something take part. A detection takes the free object of highest IoU among those that count, else among the
    ignored ones; of equal IoU the later.

    Returns:
        places [H] of the detections with a pair, whether each is matched [H, T, S], whether it is to be ignored [H, T, S].
    """
    places = np.unique(pair_place)
    hit = np.zeros((len(places), len(THRESHOLDS), len(SETTINGS)), bool)
    hit_ignored = np.zeros_like(hit)
    if not len(places):
        return places, hit, hit_ignored
    round_of = np.empty(len(places), np.int64)
    by_rank = np.lexsort((rank[places], units[places]))
    round_of[by_rank] = rank_in_unit(units[places][by_rank])
    row = np.searchsorted(places, pair_place)
    order = np.lexsort((pair_truth, pair_iou, row, round_of[row]))
    row, truth, iou = row[order], pair_truth[order], pair_iou[order]
    bounds = np.searchsorted(round_of[row], np.arange(round_of.max() + 2))
    needed = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    taken = np.zeros((len(ignored), *hit.shape[1:]), bool)
    for start, stop in pairwise(bounds):
        rows, truths, values = row[start:stop], truth[start:stop], iou[start:stop]
        firsts = np.flatnonzero(np.diff(rows, prepend=-1))
        segment = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(rows))))
        # Pairs of a detection are sorted from worst to best; objects that count come above all ignored ones.
        grade = (np.arange(len(rows)) - firsts[segment] + 1)[:, None, None]
        grade = grade + np.where(ignored[truths], 0, len(rows) + 1)[:, None, :]
        grade = np.where((values[:, None, None] >= needed) & ~taken[truths], grade, 0)
        best = np.maximum.reduceat(grade, firsts, axis=0)
        winner = (grade == best[segment]) & (grade > 0)
        taken[truths] |= winner
        hit[rows[firsts]] = np.logical_or.reduceat(winner & matchable[truths][:, None, None], firsts, axis=0)
        hit_ignored[rows[firsts]] = (best > 0) & (best <= len(rows))
    return places, hit, hit_ignored


def _interpolate(true_positive: Bools, counted: int) -> Floats:
    """Precision at the 101 recall points from ranked detections (true or false positives)."""
    if not len(true_positive):
        return np.zeros(len(RECALLS))
    true = np.cumsum(true_positive, dtype=np.float64)
    values = true / (np.arange(1, len(true) + 1) + np.spacing(1))
    values = np.maximum.accumulate(values[::-1])[::-1]
    first = np.searchsorted(true / counted, RECALLS, side="left")
    return np.append(values, 0.0)[first]
