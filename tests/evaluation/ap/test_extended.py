"""AP of boxes and average recall: recall of an image's classes against pycocotools (all else of
images: test_coco_equality.py), that of videos against a plain matching on decoded masks, as the
YouTube-VIS evaluation does it."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from tests.evaluation.coco import coco_judge
from tests.evaluation.evaluated import evaluate_scene, metrics_of
from tests.evaluation.scenes import add_object, detection, document, random_scene, rectangle
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.metric_names import AP_COLUMNS, AR_COLUMNS, AR_LIMITS, metric_names
from vatrack.config import EvaluationConfig
from vatrack.data.video_ground_truth import video_ground_truth

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' decode

Json = dict[str, Any]
THRESHOLDS = np.linspace(0.5, 0.95, 10)


def run(judge: COCOeval) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
        judge.accumulate()
    return judge


def mean(values: np.ndarray) -> Any:
    defined = values[values > -1]
    return pytest.approx(100 * defined.mean(), rel=0, abs=1e-10) if defined.size else None


@pytest.mark.parametrize("seed", range(4))
def test_recall_of_classes_and_of_visible_masks(seed: int) -> None:
    joint, predictions = random_scene(seed, tied=True)
    # pycocotools knows no occlusion: what AP leaves out for it is left out before.
    joint["annotations"] = [a for a in joint["annotations"] if a["occlude_rate"] <= 0.75]
    found = evaluate_scene(joint, predictions)
    for mask_type in ("amodal", "visible"):
        recall = run(coco_judge(joint, predictions, mask_type, AR_LIMITS)).eval["recall"]
        for number, column in enumerate(AR_COLUMNS):
            assert found.metrics[f"image/{mask_type}/{column}"] == mean(recall[:, :, 0, number])
            assert {
                category: values[column]
                for category, values in found.per_class[f"image/{mask_type}"].items()
            } == {
                category["id"]: mean(recall[:, row, 0, number])
                for row, category in enumerate(joint["categories"])
                if recall[0, row, 0, number] > -1
            }


def test_an_object_that_never_counts_needs_no_finding() -> None:
    joint = document([1])
    add_object(joint, 1, 1, 1, rectangle(0, 0, 40, 40))
    add_object(joint, 1, 1, 2, rectangle(60, 0, 40, 40), rectangle(60, 0, 4, 40))
    second = detection(1, 1, 0.5, 2, rectangle(0, 0, 40, 40), rectangle(0, 0, 40, 40))
    metrics = metrics_of(joint, [second])
    assert [metrics[f"image/amodal/{column}"] for column in AR_COLUMNS] == [100] * 3
    first = detection(1, 1, 0.9, 1, rectangle(60, 0, 40, 40), rectangle(60, 0, 40, 40))
    metrics = metrics_of(joint, [first, second])
    assert [metrics[f"image/amodal/{column}"] for column in AR_COLUMNS] == [0, 100, 100]


def test_the_box_of_each_mask_type_counts() -> None:
    joint = document([1])
    add_object(joint, 1, 1, 1, rectangle(10, 10, 40, 40), rectangle(10, 10, 20, 40))
    found = detection(1, 1, 0.9, 1, rectangle(10, 10, 40, 40), rectangle(10, 10, 20, 40))
    one = metrics_of(joint, [found])
    assert one["image/amodal_box/AP"] == pytest.approx(100)
    assert one["image/visible_box/AP50"] == pytest.approx(100)
    assert one["image/visible_box/AP75"] == 0, "of one box head, the box is the amodal one"
    both = metrics_of(joint, [found | {"bbox_visible": [10, 10, 20, 40]}])
    assert both["image/visible_box/AP"] == pytest.approx(100)


def plain_video_recall(joint: Json, predictions: list[Json], mask_type: MaskType) -> Json:
    """AR of tracks: space-time IoU of decoded masks, COCO's greedy matching, threshold by
    threshold."""
    order = {image["id"]: (image["video_id"], image["frame_id"]) for image in joint["images"]}
    tracks: dict[Any, list[Json]] = {}
    for prediction in sorted(predictions, key=lambda p: order[p["image_id"]]):
        if prediction[mask_type] is not None:
            key = order[prediction["image_id"]][0], prediction["track_id"]
            tracks.setdefault(key, []).append(prediction)
    truths = video_ground_truth(joint, mask_type, 0.75)["annotations"]
    hits: Counter[Any] = Counter()
    objects = Counter(truth["category_id"] for truth in truths)
    for video in joint["videos"]:
        images = [i for i in joint["images"] if i["video_id"] == video["id"]]
        images.sort(key=lambda image: image["frame_id"])

        def volume(masks: list[Any]) -> np.ndarray:
            blank = np.zeros((120, 160), bool)
            return np.stack(
                [blank if m is None else coco_mask.decode([m])[:, :, 0] > 0 for m in masks]
            )

        for category in objects:
            found = []
            for (owner, _), members in sorted(tracks.items()):
                if owner == video["id"] and members[0]["category_id"] == category:
                    masks = {p["image_id"]: p[mask_type] for p in members}
                    score = np.mean([np.float32(p["score"]) for p in members], dtype=np.float64)
                    found.append((score, volume([masks.get(i["id"]) for i in images])))
            found = sorted(found, key=lambda item: -item[0])[:100]
            true = [
                volume(truth["segmentations"])
                for truth in truths
                if (truth["video_id"], truth["category_id"]) == (video["id"], category)
            ]
            for place, threshold in enumerate(THRESHOLDS):
                taken: set[int] = set()
                for rank, (_, own) in enumerate(found):
                    best, chosen = threshold, None
                    for number, other in enumerate(true):
                        iou = (own & other).sum() / max((own | other).sum(), 1)
                        if number not in taken and iou >= best:
                            best, chosen = iou, number
                    if chosen is not None:
                        taken.add(chosen)
                        for limit in AR_LIMITS:
                            hits[limit, place, category] += rank < limit
    return {
        f"video/{mask_type}/{column}": 100
        * np.mean([hits[limit, p, c] / number for p in range(10) for c, number in objects.items()])
        for column, limit in zip(AR_COLUMNS, AR_LIMITS, strict=True)
    }


@pytest.mark.parametrize("seed", range(6))
def test_recall_of_tracks_is_that_of_a_plain_matching(seed: int) -> None:
    joint, predictions = random_scene(seed)
    if seed % 2:  # fewer classes: several tracks of one in a video
        for item in joint["annotations"] + predictions:
            item["category_id"] = 1 + item["category_id"] % 2
    metrics = metrics_of(joint, predictions)
    for mask_type in ("amodal", "visible"):
        expected = plain_video_recall(joint, predictions, mask_type)
        assert {key: metrics[key] for key in expected} == pytest.approx(expected, abs=1e-9)
        first, last = (expected[f"video/{mask_type}/{column}"] for column in ("AR1", "AR100"))
        assert 0 < first < last or (first > 0 and not seed % 2)


def test_recall_reads_no_more_tracks_than_count() -> None:
    joint, predictions = random_scene(2)
    one = metrics_of(joint, predictions, None, EvaluationConfig(max_tracks=1))
    assert len({one[f"video/amodal/{column}"] for column in AR_COLUMNS}) == 1


def test_the_switch_leaves_all_other_metrics_as_they_are() -> None:
    joint, predictions = random_scene(0)
    short = evaluate_scene(joint, predictions, None, EvaluationConfig(extended=False))
    whole = evaluate_scene(joint, predictions)
    assert short.metrics.items() < whole.metrics.items()
    assert list(short.metrics) == metric_names(MASK_TYPES, extended=False)
    levels = ("amodal", "visible")
    assert sorted(whole.metrics.keys() - short.metrics.keys()) == sorted(
        [
            *(f"{a}/{b}/{c}" for a in ("image", "video") for b in levels for c in AR_COLUMNS),
            *(f"image/{b}_box/{c}" for b in levels for c in AP_COLUMNS + AR_COLUMNS),
            *(f"image/hidden/{c}" for c in ("IoU", "IoU_P", "IoU_OM", "IoU_H", "Recall")),
        ]
    )
    assert not short.per_class.keys() & {"image/hidden", "image/amodal_box"}
    for level, classes in short.per_class.items():
        for category, values in classes.items():
            assert values.items() < whole.per_class[level][category].items()
