"""Average precision and average recall from matches (spec 6.2): ranking over all scopes, precision
at 101 recall points, the reported means.

Letters in shapes: N detections, T = 10 IoU thresholds, S = 7 settings, R = 101 recall points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vatrack.common.metric_names import AP_COLUMNS, AR_COLUMNS, AR_LIMITS
from vatrack.common.rle import Bools, Floats, Ints
from vatrack.evaluation.ap.matching import (
    SETTINGS,
    THRESHOLDS,
    Matches,
    unpack_outcome,
    unpack_outside,
    unpack_setting,
)

RECALLS: Floats = np.linspace(0.0, 1.0, 101)
NAMES = [setting.name for setting in SETTINGS]

Metrics = dict[str, float | None]


def precision_by_class(matches: Matches, limits: Sequence[int]) -> dict[int, Floats]:
    """Interpolated precision of every class that has a true object.

    Args:
        matches: of all scopes.
        limits: how many of the best detections of a scope and class count; one result for each.

    Returns:
        {category id: [len(limits), T, S, R]}; -1 in settings without a true object that counts.
    """
    result = {}
    category_of_found = matches.category[matches.found]
    for category, counted in zip(matches.truth_category.tolist(), matches.counted, strict=True):
        rows = np.flatnonzero(matches.category == category)
        found = np.flatnonzero(category_of_found == category)
        chosen = Matches(
            scope=matches.scope[rows],
            category=matches.category[rows],
            score=matches.score[rows],
            rank=matches.rank[rows],
            outside=matches.outside[rows],
            found=np.searchsorted(rows, matches.found[found]),
            hit=matches.hit[found],
            ignored=matches.ignored[found],
            truth_category=matches.truth_category,
            counted=matches.counted,
        )
        result[category] = _precision(chosen, counted, limits)
    return result


def _precision(matches: Matches, counted: Ints, limits: Sequence[int]) -> Floats:
    """[len(limits), T, S, R] from the matches of one class; `counted` [S] of its true objects
    count."""
    result = np.full((len(limits), len(THRESHOLDS), len(SETTINGS), len(RECALLS)), -1.0)
    # Best first, ties by scope, then row (a stable sort, as COCO's).
    order = np.lexsort((matches.scope, -matches.score))
    rank, outside = matches.rank[order], unpack_outside(matches)[order]
    rank_of = np.empty(len(order), np.int64)
    rank_of[order] = np.arange(len(order))
    by_rank = np.argsort(rank_of[matches.found])
    ranks = rank_of[matches.found][by_rank]
    hit, ignored = unpack_outcome(matches.hit[by_rank]), unpack_outcome(matches.ignored[by_rank])
    for number, limit in enumerate(limits):
        within = rank < limit
        if number and np.array_equal(within, rank < limits[number - 1]):
            result[number] = result[number - 1]
            continue
        reached = within[ranks]
        at = ranks[reached]
        for s in np.flatnonzero(counted):
            # Precision rises at true positives only, so nothing else is looked at: how many
            # detections count up to each of them is what would count if none had found anything,
            # corrected at those that did.
            shown = within & ~outside[:, s]
            before = np.cumsum(shown)[at]
            left_out = ignored[reached, :, s]
            added = np.cumsum(~left_out & ~shown[at][:, None], 0, np.int64)
            removed = np.cumsum(left_out & shown[at][:, None], 0, np.int64)
            position = before[:, None] + added - removed
            true = hit[reached, :, s] & ~left_out
            result[number, :, s] = _interpolate(position, true, int(counted[s]))
    return result


def _interpolate(position: Ints, true: Bools, counted: int) -> Floats:
    """Precision [T, R] at the 101 recall points.

    Args:
        position: of the detections that may be true positives, best first, among all that count,
            from 1 [F, T].
        true: which of them are true positives [F, T].
        counted: number of true objects that count.
    """
    length, thresholds = true.shape
    found = np.cumsum(true, 0, np.int64)
    values = np.zeros((length + 1, thresholds))
    np.divide(found, position + np.spacing(1), out=values[:-1], where=true)
    values = np.maximum.accumulate(values[::-1])[::-1]
    # The first true positive with which each recall is reached; behind the last one precision is 0.
    needed = np.searchsorted(np.arange(1, counted + 1) / counted, RECALLS, side="left") + 1
    # All thresholds in one search: each is lifted above the one before.
    threshold = np.arange(thresholds)[:, None]
    lift = threshold * (max(length, counted) + 1)
    rows = (
        np.searchsorted((found.T + lift).ravel(), (needed + lift).ravel()).reshape(thresholds, -1)
        - threshold * length
    )
    return values[rows, threshold]


def summarise(by_class: Sequence[Floats]) -> Metrics:
    """The nine reported metrics in percent from the precision of every class.

    AP reads the first limit and all thresholds; everything else the last limit. All but AP and AP75
    are at IoU 0.5.
    """
    if not by_class:
        return dict.fromkeys(AP_COLUMNS)
    stacked = np.stack(by_class)
    metrics = {"AP": _average(stacked[:, 0, :, 0])}
    metrics["AP50"] = _average(stacked[:, -1, 0, 0])
    metrics["AP75"] = _average(stacked[:, -1, 5, 0])
    for column in AP_COLUMNS[len(metrics) :]:
        metrics[column] = _average(stacked[:, -1, 0, NAMES.index(column.removeprefix("AP50_"))])
    return metrics


def recall_by_class(matches: Matches) -> dict[int, Floats]:
    """Share of the objects that count which are found, of every class that has a true object.

    Returns:
        {category id: [len(AR_LIMITS), T]}; -1 where no object counts.
    """
    hit = unpack_setting(matches.hit, 0) & ~unpack_setting(matches.ignored, 0)
    rank = matches.rank[matches.found]
    row = np.searchsorted(matches.truth_category, matches.category[matches.found])
    found = np.zeros((len(AR_LIMITS), len(matches.truth_category), len(THRESHOLDS)), np.int64)
    for number, limit in enumerate(AR_LIMITS):
        within = rank < limit
        np.add.at(found[number], row[within], hit[within])
    counted = matches.counted[:, 0]
    recall = np.where(counted[:, None] > 0, found / np.maximum(counted, 1)[:, None], -1.0)
    return dict(zip(matches.truth_category.tolist(), recall.swapaxes(0, 1), strict=True))


def average_recall(by_class: Sequence[Floats]) -> Metrics:
    """AR1, AR10 and AR100 in percent from the recall of classes: means over classes and
    thresholds."""
    if not by_class:
        return dict.fromkeys(AR_COLUMNS)
    stacked = np.stack(by_class)
    return {column: _average(stacked[:, number]) for number, column in enumerate(AR_COLUMNS)}


def precision_curves(by_class: Sequence[Floats]) -> dict[str, list[float | None]]:
    """Precision at the 101 recall points, for plots: the mean over the classes, all objects.

    The curves are those whose means are AP50 and AP75.

    Args:
        by_class: from `precision_by_class`; the last limit is read.

    Returns:
        {"IoU50": 101 values, "IoU75": 101 values} from 0 to 1, rounded to four decimals; None where
        undefined.
    """
    curves: dict[str, list[float | None]] = {}
    for name, threshold in (("IoU50", 0), ("IoU75", 5)):
        values = np.stack(by_class)[:, -1, threshold, 0] if by_class else np.empty((0, 101))
        defined = values[values[:, 0] > -1]
        mean = defined.mean(axis=0).round(4).tolist() if len(defined) else [None] * len(RECALLS)
        curves[name] = mean
    return curves


def class_metrics(values: Floats) -> Metrics:
    """The nine metrics of one class in percent, all with the last limit."""
    return summarise([values[-1:]])


def _average(values: Floats) -> float | None:
    """Mean of the values that are defined (not -1), in percent; None where there is none."""
    defined = values[values > -1]
    return float(defined.mean()) * 100 if defined.size else None
