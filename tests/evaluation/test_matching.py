"""The AP engine against pycocotools (no occlusion axis) and against a literal loop over spec 6.2 (all settings)."""

import contextlib
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.evaluation.scenes import add_object, detection, random_scene, rectangle
from vatrack.evaluation.ground_truth import read_images, read_objects
from vatrack.evaluation.image import LIMITS, frame_overlaps, image_precision
from vatrack.evaluation.matching import (
    RECALLS,
    SETTINGS,
    THRESHOLDS,
    Detections,
    Truths,
    class_figures,
    precision,
    summarise,
)
from vatrack.evaluation.overlaps import Overlaps
from vatrack.evaluation.predictions import parse_predictions

AREA_SETTINGS = ["all", "S", "M", "L"]


def crowded(seed: int) -> tuple:
    """More than 100 detections of a class in one image, and true objects that only the last ones find."""
    joint, predictions = random_scene(seed, tied=True)
    image = joint["images"][0]["id"]
    for number in range(5):
        add_object(joint, image, 2, 500 + number, rectangle(20 * number, 90, 12, 14))
        predictions.append(detection(image, 2, 0.05, 900 + number, rectangle(20 * number, 90, 12, 13), rectangle(0, 0, 1, 1)))
    random = np.random.default_rng(seed)
    for number in range(130):
        box = rectangle(*random.uniform(0, 80, 2), *random.uniform(4, 30, 2))
        predictions.append(detection(image, 2, round(float(random.uniform(0.1, 0.9)), 1), 1000 + number, box, box))
    return joint, predictions


def coco_precision(joint: dict, predictions: list[dict]) -> tuple[np.ndarray, list[int]]:
    """pycocotools' precision [T, R, classes, areas, limits] of the amodal masks, and its classes."""
    truth, found = COCO(), COCO()
    truth.dataset = {
        "images": joint["images"],
        "categories": joint["categories"],
        "annotations": [a | {"segmentation": a["amodal_mask"], "area": a["area_amodal"]} for a in joint["annotations"]],
    }
    found.dataset = truth.dataset | {
        "annotations": [
            {
                "id": number,
                "image_id": p["image_id"],
                "category_id": p["category_id"],
                "score": p["score"],
                "segmentation": p["amodal"],
                "area": p["bbox"][2] * p["bbox"][3],
                "iscrowd": 0,
            }
            for number, p in enumerate(predictions, 1)
        ]
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
        judge = COCOeval(truth, found, "segm")
        judge.params.maxDets = list(LIMITS)
        judge.evaluate()
        judge.accumulate()
    return judge.eval["precision"], judge.params.catIds


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_equal_to_pycocotools(seed: int, tied: bool) -> None:
    check_against_pycocotools(*random_scene(seed, tied=tied))


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_pycocotools_with_more_than_100_detections(seed: int) -> None:
    values = check_against_pycocotools(*crowded(seed))
    assert not np.array_equal(values[2][0], values[2][1])  # the two limits do differ here


def test_equal_to_pycocotools_without_detections() -> None:
    joint, _ = random_scene(1)
    check_against_pycocotools(joint, [])


def check_against_pycocotools(joint: dict, predictions: list[dict]) -> dict[int, np.ndarray]:
    for annotation in joint["annotations"]:
        annotation["occlude_rate"] = 0.0  # pycocotools knows no occlusion axis
    expected, classes = coco_precision(joint, predictions)
    images = read_images(joint, "test")
    objects = read_objects(joint, images, "amodal", "test")
    found = parse_predictions(enumerate(predictions, 1), images)
    overlaps = frame_overlaps(found, objects, images, "amodal")
    values = image_precision(found, objects, overlaps, "amodal", legacy_gt_id0=False)
    columns = [[setting.name for setting in SETTINGS].index(name) for name in AREA_SETTINGS]
    for number, category in enumerate(classes):
        theirs = expected[:, :, number].transpose(3, 0, 2, 1)  # limits, T, areas, R
        ours = values[category][:, :, columns] if category in values else np.full(theirs.shape, -1.0)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    return values


def literal_precision(units: np.ndarray, detections: Detections, truths: Truths, iou: np.ndarray, limit: int) -> np.ndarray:
    """Spec 6.2 word by word for one class: [T, S, R]. `units` [G] of the true objects, `iou` [D, G]."""
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
            for unit in sorted({*detections.unit.tolist(), *units.tolist()}):
                mine = [d for d in range(len(detections.unit)) if detections.unit[d] == unit]
                mine = sorted(mine, key=lambda d: -detections.score[d])[:limit]
                theirs = sorted((g for g in range(len(units)) if units[g] == unit), key=lambda g: ignored[g])
                taken: set[int] = set()
                for d in mine:
                    best, match = min(threshold, 1 - 1e-10), None
                    for g in theirs:
                        if g in taken:
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
                    ranked.append((detections.score[d], matched, ignored[match] or (not matched and area_outside)))
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
    detections = Detections(
        column([0, 1, 4], d).astype(np.int64),
        column([0.1, 0.5, 0.9], d).astype(float),
        column([9, 1024, 9216, 2e4], d).astype(float),
    )
    truths = Truths(
        column([5, 1024, 5000, 9216, 3e4], g).astype(float),
        column([0, 0.25, 0.4, 0.5, 0.75, 0.8], g).astype(float),
        column([False, False, False, True], g),
        column([True, True, True, False], g),
    )
    iou = column([0.0, 0.3, 0.5, 0.55, 0.7, 0.95, 1.0], d * g).astype(float).reshape(d, g)
    return units, detections, truths, np.where(detections.unit[:, None] == units, iou, 0.0)


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(1, 4))
def test_equal_to_the_specification_word_by_word(
    problem: tuple[np.ndarray, Detections, Truths, np.ndarray], limit: int
) -> None:
    units, detections, truths, iou = problem
    rows, columns = np.nonzero(iou >= 0.5)
    limits = (limit, 100)
    values = precision(detections, truths, Overlaps(rows, columns, iou[rows, columns]), limits)
    for number, most in enumerate(limits):
        np.testing.assert_allclose(values[number], literal_precision(units, detections, truths, iou, most), atol=1e-12)


def test_equal_overlap_takes_the_later_object() -> None:
    truths = Truths(np.full(2, 100.0), np.zeros(2), np.zeros(2, bool), np.ones(2, bool))
    detections = Detections(np.zeros(2, np.int64), np.array([0.9, 0.8]), np.full(2, 100.0))
    # The best detection overlaps both objects alike; only when it takes the later one, the second finds the first.
    overlaps = Overlaps(np.array([0, 0, 1]), np.array([0, 1, 0]), np.full(3, 0.6))
    assert precision(detections, truths, overlaps, (100,))[0, 0, 0].mean() == pytest.approx(1.0)


def test_an_unmatched_detection_is_wrong_in_every_occlusion_subset() -> None:
    truths = Truths(np.full(2, 2000.0), np.array([0.1, 0.6]), np.zeros(2, bool), np.ones(2, bool))
    detections = Detections(np.zeros(2, np.int64), np.array([0.9, 0.8]), np.full(2, 2000.0))
    values = precision(detections, truths, Overlaps(np.array([1]), np.array([0]), np.array([0.7])), (100,))[0, 0]
    names = [setting.name for setting in SETTINGS]
    assert values[names.index("P")].max() == pytest.approx(0.5)  # quirk E4
    assert values[names.index("H")].max() == 0.0
    assert values[names.index("OM")].max() == -1.0


def test_no_class_and_no_object_are_undefined() -> None:
    assert set(summarise([]).values()) == {None}
    truths = Truths(np.array([2000.0]), np.array([0.9]), np.zeros(1, bool), np.ones(1, bool))
    nothing = np.empty(0)
    overlaps = Overlaps(nothing.astype(np.int64), nothing.astype(np.int64), nothing)
    values = precision(Detections(nothing.astype(np.int64), nothing, nothing), truths, overlaps, (100, 1000))
    assert class_figures(values) == {"AP": None, "AP50": None}


def test_summary_keys_are_the_nine_of_the_contract() -> None:
    assert list(summarise([])) == ["AP", "AP50", "AP75", "AP50_P", "AP50_OM", "AP50_H", "AP50_L", "AP50_M", "AP50_S"]
    assert all(first < second for first, second in pairwise(THRESHOLDS))
    assert THRESHOLDS[5] == pytest.approx(0.75)
