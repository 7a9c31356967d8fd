"""The quality of hidden parts against a plain count of pixels, one object after the other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.evaluation.evaluated import evaluate_scene, metrics_of
from tests.evaluation.scenes import add_object, detection, document, random_scene, rectangle, rle
from vatrack.common.metric_names import HIDDEN_COLUMNS
from vatrack.common.rle import encode
from vatrack.config import EvaluationConfig
from vatrack.evaluation import hidden
from vatrack.evaluation.ap.image import frame_overlaps
from vatrack.evaluation.hidden import hidden_counts, hidden_overlaps, join_hidden
from vatrack.evaluation.io.ground_truth import read_images, read_objects
from vatrack.evaluation.io.predictions import parse_predictions

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' decode

Json = dict[str, Any]
RANGES = {"IoU": (0, 1), "IoU_P": (0, 0.25), "IoU_OM": (0.25, 0.5), "IoU_H": (0.25, 0.75)}


def bitmap(mask: Json) -> np.ndarray:
    return coco_mask.decode([mask])[:, :, 0].astype(bool)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    union = (first | second).sum()
    return (first & second).sum() / union if union else 0.0


def plain_rows(joint: Json, predictions: list[Json]) -> list[tuple[int, float, float | None]]:
    """Category, occlusion rate and IoU (None: not found) of every object with a hidden part."""
    rows = []
    groups = {(a["image_id"], a["category_id"]) for a in joint["annotations"]}
    for image, category in sorted(groups):
        objects = [
            a
            for a in joint["annotations"]
            if (a["image_id"], a["category_id"]) == (image, category) and not a["iscrowd"]
        ]
        found = [
            p
            for p in predictions
            if (p["image_id"], p["category_id"]) == (image, category)
            and p["amodal"] is not None
            and p["visible"] is not None
        ]
        taken: dict[int, Json] = {}
        for prediction in sorted(found, key=lambda p: -p["score"]):  # stable
            best, chosen = 0.5, None
            for number, item in enumerate(objects):
                value = iou(bitmap(prediction["visible"]), bitmap(item["visible_mask"]))
                if number not in taken and value >= best:
                    best, chosen = value, number
            if chosen is not None:
                taken[chosen] = prediction
        for number, item in enumerate(objects):
            amodal, visible = bitmap(item["amodal_mask"]), bitmap(item["visible_mask"])
            part, rate = amodal & ~visible, item["occlude_rate"]
            if part.any():
                value = None
                if number in taken:
                    own = (bitmap(taken[number][name]) for name in ("amodal", "visible"))
                    whole, seen = own
                    value = iou(part, whole & ~seen)
                rows.append((category, part.sum() / amodal.sum() if rate is None else rate, value))
    return rows


def plain_metrics(rows: list[tuple[int, float, float | None]]) -> dict[str, float | None]:
    metrics: dict[str, float | None] = {}
    for name, (low, high) in RANGES.items():
        values = [
            value
            for _, rate, value in rows
            if value is not None and (name == "IoU" or low <= rate <= high)
        ]
        metrics[name] = 100 * sum(values) / len(values) if values else None
    found = [value for *_, value in rows if value is not None]
    return metrics | {"Recall": 100 * len(found) / len(rows) if rows else None}


def spoilt_scene(seed: int) -> tuple[Json, list[Json]]:
    """A scene with crowds, equal scores, detections that lack a mask, objects twice in a place, and
    visible masks that reach out of the amodal ones."""
    joint, predictions = random_scene(seed, tied=True)
    random = np.random.default_rng(1000 + seed)
    for item in joint["annotations"]:
        item["iscrowd"] = int(random.random() < 0.1)
        if random.random() < 0.2:
            noise = random.random((120, 160)) < 0.02
            for name in ("amodal_mask", "visible_mask"):
                item[name] = rle(bitmap(item[name]) ^ noise ^ (random.random(noise.shape) < 0.01))
            item["area_amodal"] = int(bitmap(item["amodal_mask"]).sum())
            item["area_visible"] = int(bitmap(item["visible_mask"]).sum())
    for item in joint["annotations"][:3]:
        number = len(joint["annotations"]) + 1
        joint["annotations"].append(item | {"id": number, "instance_id": number})
    for prediction in predictions:
        lacks = random.random()
        if lacks < 0.1:
            prediction["amodal" if lacks < 0.05 else "visible"] = None
        elif lacks < 0.2:
            prediction["visible"] = prediction["amodal"]
    return joint, predictions


@pytest.mark.filterwarnings("ignore:.*has no (amodal|visible) mask:UserWarning")
@pytest.mark.parametrize("seed", range(12))
def test_equal_to_a_plain_count(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    joint, predictions = spoilt_scene(seed)
    rows = plain_rows(joint, predictions)
    found = evaluate_scene(joint, predictions)
    assert any(value for *_, value in rows), "something is found"
    expected = plain_metrics(rows)
    assert {name: found.metrics[f"image/hidden/{name}"] for name in HIDDEN_COLUMNS} == (
        pytest.approx(expected, abs=1e-10)
    )
    assert found.per_class["image/hidden"] == {
        category: pytest.approx(
            plain_metrics([row for row in rows if row[0] == category]), abs=1e-10
        )
        for category in sorted({category for category, *_ in rows})
    }
    monkeypatch.setattr(hidden, "CHUNK", 50)
    assert metrics_of(joint, predictions) == found.metrics


def test_every_sort_of_row_is_in_the_scenes() -> None:
    seen: Counter[str] = Counter()
    for seed in range(12):
        for _, rate, value in plain_rows(*spoilt_scene(seed)):
            seen["not found"] += value is None
            seen["nothing in common"] += value == 0
            seen["something in common"] += bool(value)
            seen["hidden more than AP counts"] += rate > 0.75
            seen |= Counter({name: 1 for name, (a, b) in RANGES.items() if a <= rate <= b})
    assert len(seen) == 8
    assert all(seen.values()), seen


def counts(joint: Json, predictions: list[Json]) -> Any:
    images = read_images(joint, "test")
    amodal, visible = (read_objects(joint, images, name, "test") for name in ("amodal", "visible"))
    found = parse_predictions(enumerate(predictions, 1), images)
    overlaps = frame_overlaps(found, visible, images, "visible")
    return hidden_counts(found, amodal, visible, overlaps, images)


def test_unknown_rates_are_those_of_the_masks() -> None:
    joint, predictions = spoilt_scene(4)
    for item in joint["annotations"]:
        item["occlude_rate"] = 0.1
    assert metrics_of(joint, predictions)["image/hidden/IoU_OM"] is None
    for number, item in enumerate(joint["annotations"]):
        item["occlude_rate"] = 0.1 if number % 4 == 0 else None
    metrics = metrics_of(joint, predictions)
    expected = plain_metrics(plain_rows(joint, predictions))
    assert expected["IoU_OM"] is not None
    assert {name: metrics[f"image/hidden/{name}"] for name in HIDDEN_COLUMNS} == (
        pytest.approx(expected, abs=1e-10)
    )
    assert metrics["image/amodal_box/AP50_H"] is None
    assert metrics["image/amodal_box/AP50_P"] is not None


def scene(hidden_width: int, seen: np.ndarray | None, whole: np.ndarray | None) -> Any:
    """The metrics of one object of 40 x 20 pixels whose left part is hidden, and one detection."""
    joint = document([1])
    amodal, visible = rectangle(10, 10, 40, 20), rectangle(10 + hidden_width, 10, 40, 20)
    add_object(joint, 1, 1, 1, amodal, visible & amodal)
    found = [] if seen is None else [detection(1, 1, 0.9, 1, whole, seen)]
    return [counts(joint, found).metrics()[name] for name in ("IoU", "IoU_P", "IoU_H", "Recall")]


def test_corner_cases() -> None:
    whole, seen = rectangle(10, 10, 40, 20), rectangle(18, 10, 32, 20)
    assert scene(8, seen, whole) == [100, 100, None, 100]
    assert scene(8, seen, rectangle(14, 10, 36, 20)) == [50, 50, None, 100], "half of it"
    assert scene(8, seen, seen) == [0, 0, None, 100], "no hidden part is predicted"
    assert scene(8, None, None) == [None, None, None, 0], "nothing is predicted"
    assert scene(8, rectangle(18, 10, 15, 20), whole) == [None, None, None, 0], "no match"
    assert scene(8, seen, None) == [None, None, None, 0], "no amodal mask"
    assert scene(0, whole, rectangle(0, 0, 60, 60)) == [None] * 4, "nothing is hidden"
    assert scene(40, rectangle(0, 0, 0, 0), whole) == [None, None, None, 0], "nothing is seen"
    assert scene(10, rectangle(20, 10, 30, 20), whole)[1:3] == [100, 100], "both ends count"
    assert scene(32, rectangle(42, 10, 8, 20), whole) == [100, None, None, 100], "beyond the bins"


def test_an_object_without_hidden_part_takes_its_detection() -> None:
    joint = document([1])
    bare = rectangle(10, 10, 40, 20)
    add_object(joint, 1, 1, 1, bare)
    add_object(joint, 1, 1, 2, rectangle(10, 10, 40, 28), rectangle(10, 10, 40, 24))
    found = [detection(1, 1, 0.9, 1, bare, bare)]
    assert counts(joint, found).metrics()["Recall"] == 0
    joint["annotations"][0]["iscrowd"] = 1
    assert counts(joint, found).metrics()["Recall"] == 100, "a crowd takes none"
    joint["annotations"][0]["iscrowd"], joint["annotations"][0]["category_id"] = 0, 2
    assert counts(joint, found).metrics()["Recall"] == 100, "nor another class"


def test_masks_of_any_form_and_size() -> None:
    random = np.random.default_rng(0)
    masks: list[list[bytes]] = [[], [], [], []]
    expected = []
    for number in range(300):
        height, width = random.integers(1, 9, 2)
        shares = random.choice([0, 0.1, 0.5, 0.9, 1], 4)
        bitmaps = [random.random((height, width)) < share for share in shares]
        for column, one in zip(masks, bitmaps, strict=True):
            empty = not one.any() and number % 2
            column.append(b"" if empty else rle(one)["counts"].encode())
        true, found = (a & ~v for a, v in (bitmaps[:2], bitmaps[2:]))
        expected.append((true.sum(), iou(true, found)))
    areas, values = hidden_overlaps(masks[0], masks[1], masks[2], masks[3], 64)
    assert list(zip(areas.tolist(), values.tolist(), strict=True)) == expected
    large = [encode([5, 2**31 - 106, 100]), encode([2**30, 2**31 - 1 - 2**30])]
    areas, values = hidden_overlaps(large[:1], large[1:], large[:1], large[1:], 2**31 - 1)
    assert (areas.tolist(), values.tolist()) == ([2**30 - 5], [1.0])
    assert [len(values) for values in hidden_overlaps([], [], [], [], 0)] == [0, 0]


def test_nothing_to_join() -> None:
    assert join_hidden([]).metrics() == dict.fromkeys(HIDDEN_COLUMNS)
    assert join_hidden([counts(document([1]), [])]).by_class() == {}


def test_there_are_such_metrics_only_where_both_masks_are() -> None:
    joint, predictions = random_scene(1)
    for one in (
        metrics_of(joint, [prediction | {"amodal": None} for prediction in predictions]),
        metrics_of(joint, predictions, None, EvaluationConfig(extended=False)),
    ):
        assert not [key for key in one if "hidden" in key]
    assert metrics_of(joint, [])["image/hidden/Recall"] == 0
