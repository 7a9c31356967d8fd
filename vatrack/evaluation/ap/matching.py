"""Greedy matching of detections and true objects at all IoU thresholds and settings together (spec
6.2).

COCO's protocol with a size and an occlusion axis. Images and videos use the same engine. A scope is
what matching happens within: one image (image AP) or one video (video AP). Scopes do not touch each
other, so any share of a dataset can be matched alone, anywhere: `join` puts the shares together,
and `vatrack.evaluation.ap.precision` ranks them.

Letters in shapes: D detections, G true objects, P overlapping pairs, T = 10 IoU thresholds,
S = 7 settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vatrack.common.rle import Bools, Floats, Ints
from vatrack.evaluation.ap.overlaps import Overlaps

Bytes = NDArray[np.uint8]

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
LOWEST_IOU = 0.5


@dataclass(frozen=True)
class Setting:
    """Which true objects count: area in pixels and occlusion rate, both ends inclusive (quirk
    E5)."""

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
CELLS = len(THRESHOLDS) * len(SETTINGS)


@dataclass(frozen=True)
class Detections:
    """Predictions: `scope` [D]: image or video id; `category`, `score` [D]; `area` [D] in pixels.

    Equal scores rank by scope, then by row.
    """

    scope: Ints
    category: Ints
    score: Floats
    area: Floats


@dataclass(frozen=True)
class Truths:
    """True objects: `category`, `area` [G]; occlusion `rate` [G], NaN where it is unknown.

    `crowd` [G]: never counts, and takes any number of detections.
    `matchable` [G] is False for an object that takes a detection and still counts as missed (quirk
    E1). Among objects of equal IoU the later row wins.
    """

    category: Ints
    area: Floats
    rate: Floats
    crowd: Bools
    matchable: Bools


@dataclass(frozen=True)
class Matches:
    """What the matching of some scopes found, compact.

    Of N detections: `scope`, `category`, `score`; `rank` [N] among those of its scope and class;
    `outside` [N]: bit s is set where its area is outside the range of setting s. Of the H
    detections that overlap something: their rows `found` [H], and `hit` and `ignored` [H, bytes]:
    bits T x S, whether it is matched and whether it is left out. Of the C classes with a true
    object: `truth_category` [C], `counted` [C, S] objects that count.
    """

    scope: Ints
    category: Ints
    score: Floats
    rank: NDArray[np.int32]
    outside: Bytes
    found: Ints
    hit: Bytes
    ignored: Bytes
    truth_category: Ints
    counted: Ints

    def with_categories(self, ids: Ints) -> Matches:
        """The same with ids [C] in place of category indices; the ids ascend."""
        return replace(self, category=ids[self.category], truth_category=ids[self.truth_category])

    def sharing(self, other: Matches) -> Matches:
        """The same with the columns of other matches of the same detections and objects, which are
        kept, and sent to another process, only once."""
        names = ("scope", "category", "score", "rank", "truth_category", "counted")
        return replace(self, **{name: getattr(other, name) for name in names})


def match(detections: Detections, truths: Truths, overlaps: Overlaps, limit: int) -> Matches:
    """Matches the detections of whole scopes.

    Args:
        detections: predictions.
        truths: true objects.
        overlaps: the pairs with IoU >= 0.5, by row number; both sides of a pair are in the same
            scope and class.
        limit: how many of the best detections of a scope and class count; further ones are dropped.
    """
    order = np.lexsort((-detections.score, detections.category, detections.scope))
    rank, group = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    rank[order] = rank_in_group(detections.scope[order], detections.category[order])
    group[order] = np.cumsum(rank[order] == 0)
    kept = rank < limit
    row = np.cumsum(kept) - 1
    pairs = kept[overlaps.detection]
    ignored = ignored_truths(truths.area, truths.rate, truths.crowd)
    outside = _outside(detections.area[kept], [setting.area for setting in SETTINGS])
    found, hit, hit_ignored = _match(
        Overlaps(row[overlaps.detection[pairs]], overlaps.truth[pairs], overlaps.iou[pairs]),
        group[kept],
        rank[kept],
        truths,
        ignored,
    )
    # A detection that found nothing is a false positive, unless its own area is outside the range
    # (occlusion: always one).
    hit_ignored |= ~hit & outside[found][:, None, :]
    category, classes = np.unique(truths.category, return_inverse=True)
    counted = np.zeros((len(category), len(SETTINGS)), np.int64)
    np.add.at(counted, classes, ~ignored)
    return Matches(
        scope=detections.scope[kept],
        category=detections.category[kept],
        score=detections.score[kept],
        rank=rank[kept].astype(np.int32),
        outside=np.packbits(outside, axis=1).ravel(),
        found=found,
        hit=np.packbits(hit.reshape(len(found), CELLS), axis=1),
        ignored=np.packbits(hit_ignored.reshape(len(found), CELLS), axis=1),
        truth_category=category,
        counted=counted,
    )


def join(several: Sequence[Matches]) -> Matches:
    """The matches of several parts of a dataset as one. No scope may be in two parts."""
    offsets = np.cumsum([0, *(len(matches.scope) for matches in several)])
    category, classes = np.unique(
        np.concatenate([matches.truth_category for matches in several]), return_inverse=True
    )
    counted = np.zeros((len(category), len(SETTINGS)), np.int64)
    np.add.at(counted, classes, np.concatenate([matches.counted for matches in several]))
    return Matches(
        scope=np.concatenate([matches.scope for matches in several]),
        category=np.concatenate([matches.category for matches in several]),
        score=np.concatenate([matches.score for matches in several]),
        rank=np.concatenate([matches.rank for matches in several]),
        outside=np.concatenate([matches.outside for matches in several]),
        found=np.concatenate(
            [matches.found + offset for matches, offset in zip(several, offsets[:-1], strict=True)]
        ),
        hit=np.concatenate([matches.hit for matches in several]),
        ignored=np.concatenate([matches.ignored for matches in several]),
        truth_category=category,
        counted=counted,
    )


def unpack_outside(matches: Matches) -> Bools:
    """`outside` of matches as [N, S]."""
    return np.unpackbits(matches.outside[:, None], axis=1, count=len(SETTINGS)).astype(bool)


def unpack_outcome(packed: Bytes) -> Bools:
    """`hit` or `ignored` of matches as [H, T, S]."""
    bits = np.unpackbits(packed, axis=1, count=CELLS)
    return bits.reshape(-1, len(THRESHOLDS), len(SETTINGS)).astype(bool)


def unpack_setting(packed: Bytes, setting: int) -> Bools:
    """`hit` or `ignored` of matches as [H, T], in one setting alone."""
    cells = np.arange(len(THRESHOLDS)) * len(SETTINGS) + setting
    return (packed[:, cells // 8] >> (7 - cells % 8) & 1).astype(bool)


def rank_in_group(*keys: Ints) -> Ints:
    """For rows whose groups stand together: how many rows of the same group come before. A group
    has the same keys."""
    new = np.ones(len(keys[0]), bool)
    new[1:] = np.logical_or.reduce([np.diff(key) != 0 for key in keys])
    starts = np.flatnonzero(new)
    return np.arange(len(new)) - np.repeat(starts, np.diff(np.append(starts, len(new))))


def count_earlier(values: Ints) -> Ints:
    """For every value how many earlier ones are equal."""
    grouped = np.argsort(values, kind="stable")
    rank = np.empty(len(values), np.int64)
    rank[grouped] = rank_in_group(values[grouped])
    return rank


def ignored_truths(area: Floats, rate: Floats, crowd: Bools) -> Bools:
    """Which true objects do not count in a setting [G, S]; arguments as in `Truths`."""
    outside = _outside(area, [setting.area for setting in SETTINGS])
    outside |= _outside(rate, [setting.rate for setting in SETTINGS])
    # Objects of unknown rate count, but in no range of occlusion.
    ranged = np.array([setting.rate != Setting.rate for setting in SETTINGS])
    outside |= np.isnan(rate)[:, None] & ranged
    return outside | crowd[:, None]


def _outside(values: Floats, ranges: Sequence[tuple[float, float]]) -> Bools:
    low, high = np.array(ranges).T
    return (values[:, None] < low) | (values[:, None] > high)


def _match(
    pairs: Overlaps, group: Ints, rank: Ints, truths: Truths, ignored: Bools
) -> tuple[Ints, Bools, Bools]:
    """Greedy matching, best detection first.

    `group` [N] and `rank` [N]: which detections are of the same scope and class, and their order.
    Groups do not touch each other, so round k handles the k-th best of every group at once; only
    detections that overlap something take part. A detection takes the free object of highest IoU
    among those that count, else among the ignored ones; of equal IoU the later. A crowd is always
    free.

    Returns:
        rows [H] of the detections with a pair, whether each is matched [H, T, S], whether it is to
        be ignored [H, T, S].
    """
    found = np.unique(pairs.detection)
    hit = np.zeros((len(found), len(THRESHOLDS), len(SETTINGS)), bool)
    hit_ignored = np.zeros_like(hit)
    if not len(found):
        return found, hit, hit_ignored
    by_rank = np.lexsort((rank[found], group[found]))
    round_of = np.empty(len(found), np.int64)
    round_of[by_rank] = rank_in_group(group[found][by_rank])
    row = np.searchsorted(found, pairs.detection)
    order = np.lexsort((pairs.truth, pairs.iou, row, round_of[row]))
    row, truth, iou = row[order], pairs.truth[order], pairs.iou[order]
    bounds = np.searchsorted(round_of[row], np.arange(round_of.max() + 2))
    needed = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    taken = np.zeros((len(ignored), *hit.shape[1:]), bool)
    for start, stop in pairwise(bounds):
        rows, objects, values = row[start:stop], truth[start:stop], iou[start:stop]
        firsts = np.flatnonzero(np.diff(rows, prepend=-1))
        segment = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(rows))))
        # Pairs of a detection are sorted from worst to best; objects that count come above all
        # ignored ones.
        grade = (np.arange(len(rows)) - firsts[segment] + 1)[:, None, None]
        grade = grade + np.where(ignored[objects], 0, len(rows) + 1)[:, None, :]
        grade = np.where((values[:, None, None] >= needed) & ~taken[objects], grade, 0)
        best = np.maximum.reduceat(grade, firsts, axis=0)
        winner = (grade == best[segment]) & (grade > 0)
        taken[objects] |= winner & ~truths.crowd[objects][:, None, None]
        hit[rows[firsts]] = np.logical_or.reduceat(
            winner & truths.matchable[objects][:, None, None], firsts, axis=0
        )
        hit_ignored[rows[firsts]] = (best > 0) & (best <= len(rows))
    return found, hit, hit_ignored
