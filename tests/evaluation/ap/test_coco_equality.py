"""AP and AR of images, of masks and of boxes, against pycocotools' COCOeval on random data, where
both mean the same.

pycocotools knows no occlusion, so every rate is 0; it gets the areas that ours uses, that of a
detection being its box's (quirk E2); ids start at 1, because it, too, never counts a true object
with id 0 as found (quirk E1).
"""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.coco import coco_judge
from tests.evaluation.evaluated import metrics_of
from tests.evaluation.scenes import add_object, detection, document, rectangle, rle
from vatrack.common.metric_names import AR_COLUMNS, AR_LIMITS
from vatrack.config import EvaluationConfig
from vatrack.evaluation.ap.image import LIMITS, frame_overlaps, image_matches
from vatrack.evaluation.ap.matching import SETTINGS
from vatrack.evaluation.ap.precision import precision_by_class
from vatrack.evaluation.io.ground_truth import read_images, read_objects
from vatrack.evaluation.io.predictions import parse_predictions

AREA_SETTINGS = [
    [setting.name for setting in SETTINGS].index(name) for name in ("all", "S", "M", "L")
]

Json = dict[str, Any]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Json, list[Json]]:
    """Ground truth and predictions. What sort of data it is is drawn, so that failures shrink; the
    rest comes from a seed."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    joint = document(
        [draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 2)))],
        first_image=draw(st.sampled_from([1, 7])),
    )
    classes = draw(st.sampled_from([1, 2, 5]))
    del joint["categories"][6:]  # pycocotools takes as long for each, whatever there is of it
    wrong_class = draw(st.booleans())
    grid = draw(
        st.sampled_from([1, 8, 20])
    )  # a coarse one makes equal masks and equal overlaps common
    steps = draw(st.sampled_from([2, 10, 0]))  # different scores; 0 stands for any
    crowds = draw(st.sampled_from([0.0, 0.3]))
    most = draw(st.sampled_from([8, 8, 3, 0]))
    false = draw(st.sampled_from([4, 12, 130, 0]))
    empty = draw(st.sampled_from([0.0, 0.0, 0.4]))
    small = draw(st.booleans())
    predictions: list[Json] = []

    def box() -> np.ndarray:
        corner, size = (
            random.uniform(0, 90, 2),
            random.choice([12, 32, 32, 60, 100] if not small else [6, 14, 32], 2),
        )
        snapped = np.rint(np.concatenate((corner, size)) / grid) * grid
        return np.concatenate((snapped[:2], np.maximum(snapped[2:], 2)))

    def score() -> float:
        return (
            float(random.integers(1, steps + 1)) / steps
            if steps
            else float(random.uniform(0.01, 1))
        )

    for image in joint["images"]:
        true: list[tuple[np.ndarray, int]] = []
        if random.random() >= empty:
            for instance in range(int(random.integers(0, most + 1))):
                true.append((box(), int(random.integers(1, classes + 1))))
                add_object(joint, image["id"], true[-1][1], instance, rectangle(*true[-1][0]))
                joint["annotations"][-1]["iscrowd"] = int(random.random() < crowds)
        if random.random() < empty:
            continue
        found = [
            (place + np.rint(random.normal(0, 3, 4) / grid) * grid, c)
            for place, c in true
            for _ in range(random.integers(4))
        ]
        found += [(box(), int(random.integers(1, classes + 1 + wrong_class))) for _ in range(false)]
        for track, (place, category) in enumerate(found):
            mask = rectangle(*place)
            # The detection's box, from which its area comes, need not be that of its mask.
            record = detection(image["id"], category, score(), track, mask)
            record["bbox"][2] += float(random.choice([0, 0, 10]))
            predictions.append(record)
    order = random.permutation(len(predictions))
    return joint, [predictions[row] for row in order]


def judged(
    joint: Json, predictions: list[Json], limits: Sequence[int], iou_type: str = "segm"
) -> Json:
    """What pycocotools makes of the amodal annotations: precision [T, R, classes, areas, limits]
    and recall [T, classes, areas, limits]."""
    judge = coco_judge(joint, predictions, "amodal", limits, iou_type)
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
        judge.accumulate()
    return judge.eval


def coco_precision(joint: Json, predictions: list[Json]) -> np.ndarray:
    """pycocotools' precision [limits, T, areas, classes, R] of the amodal masks."""
    return judged(joint, predictions, LIMITS)["precision"].transpose(4, 0, 3, 2, 1)


def our_precision(joint: Json, predictions: list[Json]) -> np.ndarray:
    """The same from our engine."""
    images = read_images(joint, "test")
    objects = read_objects(joint, images, "amodal", "test")
    found = parse_predictions(enumerate(predictions, 1), images)
    overlaps = frame_overlaps(found, objects, images, "amodal")
    by_class = precision_by_class(
        image_matches(found, objects, overlaps, images, "amodal", EvaluationConfig()), LIMITS
    )
    result = np.full((len(LIMITS), 10, len(AREA_SETTINGS), len(joint["categories"]), 101), -1.0)
    for number in range(len(joint["categories"])):
        if number in by_class:
            result[:, :, :, number] = by_class[number][:, :, AREA_SETTINGS]
    return result


# Limits of AP and of AR: a limit takes the best of what a larger one has matched.
EVERY_LIMIT = sorted({*LIMITS, *AR_LIMITS})
PLACES: dict[str, tuple[Any, int, int]] = {  # thresholds, area, limit
    "AP": (slice(None), 0, LIMITS[0]),
    "AP50": (0, 0, LIMITS[1]),
    "AP75": (5, 0, LIMITS[1]),
    "AP50_S": (0, 1, LIMITS[1]),
    "AP50_M": (0, 2, LIMITS[1]),
    "AP50_L": (0, 3, LIMITS[1]),
}


def reported(result: Json, level: str) -> Json:
    """The metrics that are means of pycocotools' arrays."""

    def mean(values: np.ndarray) -> Any:
        defined = values[values > -1]
        return pytest.approx(100 * defined.mean(), rel=0, abs=1e-10) if defined.size else None

    precision, recall = result["precision"], result["recall"]
    places = {name: EVERY_LIMIT.index(limit) for name, (_, _, limit) in PLACES.items()}
    return {
        f"{level}/{name}": mean(precision[thresholds, :, :, area, places[name]])
        for name, (thresholds, area, _) in PLACES.items()
    } | {
        f"{level}/{name}": mean(recall[:, :, 0, EVERY_LIMIT.index(limit)])
        for name, limit in zip(AR_COLUMNS, AR_LIMITS, strict=True)
    }


@pytest.mark.filterwarnings("ignore:boxes of predictions:UserWarning")  # some leave their image
@pytest.mark.filterwarnings("ignore:.*(contains no annotations|no prediction has):UserWarning")
@pytest.mark.parametrize("examples", [25, pytest.param(400, marks=pytest.mark.slow)])
def test_equal_to_pycocotools(examples: int) -> None:
    """On random problems; of hundreds, each sort of data that matters must have been among them."""
    seen: Counter[str] = Counter()

    @settings(max_examples=examples)
    @given(problem=problems())
    def compare(problem: tuple[Json, list[Json]]) -> None:
        seen.update(name for name, found in _compare(*problem).items() if found)

    compare()
    if examples > 25:
        assert min(seen.values()) >= 3, seen
        assert len(seen) == 10


def _compare(joint: Json, predictions: list[Json]) -> dict[str, bool]:
    """Compares all numbers of a problem; returns what sorts of data it has."""
    masks, boxes = (
        judged(joint, predictions, EVERY_LIMIT, iou_type) for iou_type in ("segm", "bbox")
    )
    limits = [EVERY_LIMIT.index(limit) for limit in LIMITS]
    expected = masks["precision"].transpose(4, 0, 3, 2, 1)[limits]
    ours = our_precision(joint, predictions)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)

    metrics = metrics_of(joint, predictions, {"amodal": {"annotations": []}})
    means = reported(masks, "image/amodal") | reported(boxes, "image/amodal_box")
    assert {name: metrics[name] for name in means} == means

    images = [p["image_id"] for p in predictions]
    crowded = Counter((p["image_id"], p["category_id"]) for p in predictions)
    return {
        "crowds": any(a["iscrowd"] for a in joint["annotations"]),
        "equal scores": len({p["score"] for p in predictions}) < len(predictions),
        "more than 100 of a class in an image": max(crowded.values(), default=0) > 100,
        "the limits of AP differ": not np.array_equal(ours[0], ours[1]),
        "the limits of AR differ": len({metrics[f"image/amodal/{x}"] for x in AR_COLUMNS}) > 1,
        "boxes differ": metrics["image/amodal_box/AP"] != metrics["image/amodal/AP"],
        "no object": not joint["annotations"],
        "no prediction": not predictions,
        "an image without anything": len({*images, *(a["image_id"] for a in joint["annotations"])})
        < len(joint["images"]),
        "some precision strictly between 0 and 1": bool(((expected > 0) & (expected < 1)).any()),
    }


def test_crowds_and_the_limit_of_detections_change_what_is_measured() -> None:
    """Crowds that take several detections, and a limit of 100 that matters, change pycocotools'
    numbers, too."""
    joint = document([1])
    add_object(joint, 1, 1, 1, rectangle(0, 0, 60, 60))
    joint["annotations"][0]["iscrowd"] = 1
    add_object(joint, 1, 1, 2, rectangle(100, 60, 40, 40))
    inside = [
        detection(1, 1, 0.9 - 0.01 * number, number, rectangle(5 * number, 10, 20, 20))
        for number in range(5)
    ]
    last = detection(1, 1, 0.05, 500, rectangle(100, 60, 40, 40))
    assert our_precision(joint, [*inside, last])[0, :, 0, 0].min() == pytest.approx(1.0)
    np.testing.assert_array_equal(
        our_precision(joint, [*inside, last]), coco_precision(joint, [*inside, last])
    )
    false = [
        detection(1, 1, 0.5, 10 + number, rectangle(number, 100, 9, 9)) for number in range(100)
    ]
    values = our_precision(joint, [*false, last])
    many = [
        detection(1, 1, 0.5, 1000 + number, rectangle(number % 100, 100, 9, 9))
        for number in range(1000)
    ]
    assert our_precision(joint, [*many, last]).max() == 0, "beyond the 1000th"
    np.testing.assert_array_equal(
        our_precision(joint, [*many, last]), coco_precision(joint, [*many, last])
    )
    assert values[0].max() == 0 < values[1].max()
    np.testing.assert_allclose(values, coco_precision(joint, [*false, last]), rtol=0, atol=1e-12)


def test_masks_need_not_be_rectangles() -> None:
    joint = document([1])
    random = np.random.default_rng(5)
    noise = [(random.random((120, 160)) < share).astype(np.uint8) for share in (0.5, 0.7, 0.9)]
    for instance, mask in enumerate(noise):
        add_object(joint, 1, 1, instance, mask)
    predictions = [detection(1, 1, 0.5, track, mask) for track, mask in enumerate(noise[::-1])]
    predictions[0]["amodal"] = rle(noise[2] & noise[1])
    np.testing.assert_allclose(
        our_precision(joint, predictions), coco_precision(joint, predictions), rtol=0, atol=1e-12
    )
