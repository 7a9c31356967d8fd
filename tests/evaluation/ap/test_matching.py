"""The AP engine against a literal loop over spec 6.2 (all settings), and parts of a dataset
against the whole."""

from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vatrack.evaluation.ap.matching import (
    SETTINGS,
    THRESHOLDS,
    Detections,
    Matches,
    Truths,
    join,
    match,
)
from vatrack.evaluation.ap.overlaps import Overlaps
from vatrack.evaluation.ap.precision import RECALLS, class_metrics, precision_by_class, summarise


def precision(
    detections: Detections, truths: Truths, overlaps: Overlaps, limits: tuple[int, ...]
) -> np.ndarray:
    """Of class 1: [len(limits), T, S, R]."""
    return precision_by_class(match(detections, truths, overlaps, max(limits)), limits)[1]


def one_class(columns: type, *values: np.ndarray):
    """Detections or truths of class 1."""
    names = [field.name for field in fields(columns) if field.name != "category"]
    return columns(
        category=np.ones(len(values[0]), np.int64), **dict(zip(names, values, strict=True))
    )


def literal_precision(
    units: np.ndarray, detections: Detections, truths: Truths, iou: np.ndarray, limit: int
) -> np.ndarray:
    """Spec 6.2 word by word for one class: [T, S, R]. `units` [G] of the true objects, `iou` [D,
    G]."""
    result = np.full((len(THRESHOLDS), len(SETTINGS), len(RECALLS)), -1.0)
    for s, setting in enumerate(SETTINGS):
        ignored = [
            bool(truths.crowd[g])
            or not setting.area[0] <= truths.area[g] <= setting.area[1]
            or not setting.rate[0] <= truths.rate[g] <= setting.rate[1]
            for g in range(len(units))
        ]
        if all(ignored):
            continue
        for t, threshold in enumerate(THRESHOLDS):
            ranked = []  # (score, matched, ignored), units ascending
            for unit in sorted({*detections.scope.tolist(), *units.tolist()}):
                mine = [d for d in range(len(detections.scope)) if detections.scope[d] == unit]
                mine = sorted(mine, key=lambda d: -detections.score[d])[:limit]
                theirs = sorted(
                    (g for g in range(len(units)) if units[g] == unit), key=lambda g: ignored[g]
                )
                taken: set[int] = set()
                for d in mine:
                    best, match = min(threshold, 1 - 1e-10), None
                    for g in theirs:
                        if g in taken and not truths.crowd[g]:
                            continue
                        if match is not None and not ignored[match] and ignored[g]:
                            break
                        if iou[d, g] < best:
                            continue
                        best, match = iou[d, g], g
                    area_outside = not setting.area[0] <= detections.area[d] <= setting.area[1]
                    if match is None:
                        ranked.append((detections.score[d], False, area_outside))
                        continue
                    taken.add(match)
                    matched = bool(truths.matchable[match])
                    ranked.append(
                        (
                            detections.score[d],
                            matched,
                            ignored[match] or (not matched and area_outside),
                        )
                    )
            true = false = 0
            curve = []
            for _, matched, ignore in sorted(ranked, key=lambda entry: -entry[0]):
                true += matched and not ignore
                false += not matched and not ignore
                curve.append((true / ignored.count(False), true / (true + false + 2.2e-16)))
            for r, recall in enumerate(RECALLS):
                reached = [value for at, value in curve if at >= recall]
                result[t, s, r] = max(reached, default=0.0)
    return result


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, Detections, Truths, np.ndarray]:
    """A few units with coarse values, so that ties and range ends are common."""
    d, g = draw(st.integers(0, 8)), draw(st.integers(1, 6))

    def column(values: list, size: int) -> np.ndarray:
        return np.array(draw(st.lists(st.sampled_from(values), min_size=size, max_size=size)))

    units = column([0, 1, 4], g)
    detections = one_class(
        Detections,
        column([0, 1, 4], d).astype(np.int64),
        column([0.1, 0.5, 0.9], d).astype(float),
        column([9, 1024, 9216, 2e4], d).astype(float),
    )
    truths = one_class(
        Truths,
        column([5, 1024, 5000, 9216, 3e4], g).astype(float),
        column([0, 0.25, 0.4, 0.5, 0.75, 0.8], g).astype(float),
        column([False, False, False, True], g),
        column([True, True, True, False], g),
    )
    iou = column([0.0, 0.3, 0.5, 0.55, 0.7, 0.95, 1.0], d * g).astype(float).reshape(d, g)
    return units, detections, truths, np.where(detections.scope[:, None] == units, iou, 0.0)


@settings(max_examples=60)
@given(problems(), st.integers(1, 4))
def test_equal_to_the_specification_word_by_word(
    problem: tuple[np.ndarray, Detections, Truths, np.ndarray], limit: int
) -> None:
    units, detections, truths, iou = problem
    rows, columns = np.nonzero(iou >= 0.5)
    limits = (limit, 100)
    values = precision(detections, truths, Overlaps(rows, columns, iou[rows, columns]), limits)
    for number, most in enumerate(limits):
        np.testing.assert_allclose(
            values[number], literal_precision(units, detections, truths, iou, most), atol=1e-12
        )


def part(
    detections: Detections, truths: Truths, units: np.ndarray, iou: np.ndarray, chosen: list[int]
) -> Matches:
    """The matches of some units."""
    d, g = np.isin(detections.scope, chosen), np.isin(units, chosen)
    rows, columns = np.nonzero(iou[d][:, g] >= 0.5)

    def some(table: Any, kept: np.ndarray) -> Any:
        return replace(table, **{f.name: getattr(table, f.name)[kept] for f in fields(table)})

    return match(
        some(detections, d),
        some(truths, g),
        Overlaps(rows, columns, iou[d][:, g][rows, columns]),
        100,
    )


@pytest.mark.slow
@given(problems(), st.permutations([[0], [1], [4]]), st.booleans())
def test_parts_joined_in_any_order_equal_the_whole_to_the_last_bit(
    problem: tuple[np.ndarray, Detections, Truths, np.ndarray], parts: list[list[int]], two: bool
) -> None:
    units, detections, truths, iou = problem
    if two:
        parts = [parts[0], parts[1] + parts[2]]
    limits = (2, 100)
    whole = precision_by_class(part(detections, truths, units, iou, [0, 1, 4]), limits)
    joined = precision_by_class(
        join([part(detections, truths, units, iou, chosen) for chosen in parts]), limits
    )
    assert whole.keys() == joined.keys()
    for category, values in whole.items():
        np.testing.assert_array_equal(joined[category], values)


def test_a_crowd_takes_any_number_of_detections() -> None:
    truths = one_class(
        Truths, np.full(2, 100.0), np.zeros(2), np.array([False, True]), np.ones(2, bool)
    )
    detections = one_class(
        Detections, np.zeros(4, np.int64), np.array([0.9, 0.8, 0.7, 0.6]), np.full(4, 100.0)
    )
    overlaps = Overlaps(np.array([0, 1, 2, 3]), np.array([1, 1, 1, 0]), np.full(4, 0.9))
    assert precision(detections, truths, overlaps, (100,))[0, 0, 0].min() == pytest.approx(1.0)


def test_equal_overlap_takes_the_later_object() -> None:
    truths = one_class(Truths, np.full(2, 100.0), np.zeros(2), np.zeros(2, bool), np.ones(2, bool))
    detections = one_class(
        Detections, np.zeros(2, np.int64), np.array([0.9, 0.8]), np.full(2, 100.0)
    )
    # The best detection overlaps both objects alike; only when it takes the later one, the second
    # finds the first.
    overlaps = Overlaps(np.array([0, 0, 1]), np.array([0, 1, 0]), np.full(3, 0.6))
    assert precision(detections, truths, overlaps, (100,))[0, 0, 0].mean() == pytest.approx(1.0)


def test_an_unmatched_detection_is_wrong_in_every_occlusion_subset() -> None:
    truths = one_class(
        Truths, np.full(2, 2000.0), np.array([0.1, 0.6]), np.zeros(2, bool), np.ones(2, bool)
    )
    detections = one_class(
        Detections, np.zeros(2, np.int64), np.array([0.9, 0.8]), np.full(2, 2000.0)
    )
    values = precision(
        detections, truths, Overlaps(np.array([1]), np.array([0]), np.array([0.7])), (100,)
    )[0, 0]
    names = [setting.name for setting in SETTINGS]
    assert values[names.index("P")].max() == pytest.approx(0.5)  # quirk E4
    assert values[names.index("H")].max() == 0.0
    assert values[names.index("OM")].max() == -1.0


def test_no_class_and_no_object_are_undefined() -> None:
    assert set(summarise([]).values()) == {None}
    truths = one_class(
        Truths, np.array([2000.0]), np.array([0.9]), np.zeros(1, bool), np.ones(1, bool)
    )
    nothing = np.empty(0)
    overlaps = Overlaps(nothing.astype(np.int64), nothing.astype(np.int64), nothing)
    values = precision(
        one_class(Detections, nothing.astype(np.int64), nothing, nothing),
        truths,
        overlaps,
        (100, 1000),
    )
    assert class_metrics(values) == dict.fromkeys(summarise([]))


def test_summary_keys_are_the_nine_of_the_contract() -> None:
    assert list(summarise([])) == [
        "AP",
        "AP50",
        "AP75",
        "AP50_P",
        "AP50_OM",
        "AP50_H",
        "AP50_L",
        "AP50_M",
        "AP50_S",
    ]
    assert all(first < second for first, second in pairwise(THRESHOLDS))
    assert THRESHOLDS[5] == pytest.approx(0.75)
