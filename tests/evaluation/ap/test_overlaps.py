import warnings

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.evaluation.evaluated import metrics_of
from tests.evaluation.scenes import add_object, document, random_scene, rectangle
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.common.metric_names import TRACK_COLUMNS
from vatrack.evaluation.ap import overlaps
from vatrack.evaluation.ap.overlaps import BoxRows, Overlaps, box_overlaps
from vatrack.evaluation.io.ground_truth import read_images, read_objects


def random_boxes(random: np.random.Generator, number: int) -> BoxRows:
    box = np.concatenate(
        (random.uniform(-20, 80, (number, 2)), random.uniform(0, 60, (number, 2))), 1
    )
    return BoxRows(
        random.integers(0, 5, number),
        random.integers(1, 4, number),
        np.where(random.random() < 0.5, box.round(), box),
    )


def as_set(found: Overlaps) -> set[tuple[int, int, float]]:
    return set(
        zip(
            found.detection.tolist(),
            found.truth.tolist(),
            found.iou.round(12).tolist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("block", [1, 7, 1 << 18])
@pytest.mark.parametrize("seed", range(6))
def test_boxes_overlap_as_in_pycocotools(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlaps, "BLOCK", block)
    random = np.random.default_rng(seed)
    detections, truths = random_boxes(random, 40), random_boxes(random, int(random.integers(0, 30)))
    same = (detections.image[:, None] == truths.image) & (
        detections.category[:, None] == truths.category
    )
    iou = np.zeros(same.shape)
    if same.size:
        iou = coco_mask.iou(detections.box, truths.box, [0] * len(truths.box))
    d, t = np.nonzero(same & (iou > 0))
    assert len(d) or not same.size
    assert as_set(box_overlaps(detections, truths)) == as_set(Overlaps(d, t, iou[d, t]))


def test_boxes_without_area_overlap_nothing() -> None:
    boxes = np.array(
        [
            [0, 0, 10, 10],
            [5, 5, 0, 4],
            [5, 5, 3, 0],
            [9, 9, -8, -8],
            [9, 0, -8, 8],
            [0, 0, 1e200, 1e200],
            [10, 0, 5, 5],
        ]
    )
    rows = BoxRows(np.zeros(len(boxes), np.int64), np.ones(len(boxes), np.int64), boxes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = box_overlaps(rows, rows)
    assert as_set(found) == {(0, 0, 1.0), (6, 6, 1.0)}, (
        "boxes that only touch, and one too large to have an area"
    )


def test_nothing_to_compare() -> None:
    none = BoxRows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4)))
    assert (
        len(box_overlaps(none, none).iou)
        == len(box_overlaps(random_boxes(np.random.default_rng(0), 3), none).iou)
        == 0
    )


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_boxes_equal_those_of_masks_that_fill_them(seed: int) -> None:
    joint, predictions = random_scene(seed)
    predictions = [
        p | {"bbox_visible": coco_mask.toBbox(p["visible"]).tolist()} for p in predictions
    ]
    metrics = metrics_of(joint, predictions)
    assert 0 < metrics["track/visible/HOTA"] < metrics["track/amodal/HOTA"] < 100
    for mask_type in ("amodal", "visible"):
        for column in TRACK_COLUMNS:
            assert metrics[f"track/{mask_type}_box/{column}"] == pytest.approx(
                metrics[f"track/{mask_type}/{column}"], abs=1e-9
            )


def test_one_box_for_both_masks_is_compared_with_both() -> None:
    """A method with one box head: the visible metrics of boxes are those of its only box."""
    joint, predictions = random_scene(1)
    metrics = metrics_of(joint, predictions)
    explicit = metrics_of(joint, [p | {"bbox_visible": p["bbox"]} for p in predictions])
    assert metrics == explicit
    assert metrics["track/visible_box/HOTA"] != metrics["track/visible/HOTA"]


def test_boxes_of_every_form_of_ground_truth() -> None:
    joint = document([1])
    add_object(joint, 1, 3, 1, rectangle(10, 20, 30, 40), rectangle(10, 20, 15, 40))
    (entry,) = joint["annotations"]
    amodal, visible = [10, 20, 30, 40], [10, 20, 15, 40]
    images = read_images(joint, "test")
    forms = {
        "amodal box": entry,
        "visible box": entry | {"bbox": visible, "bbox_amodal": amodal},
        "both boxes": entry | {"bbox": [amodal, visible], "bbox_amodal": amodal},
        "no box": {key: value for key, value in entry.items() if "bbox" not in key},
    }
    for name, annotation in forms.items():
        found = {
            mask_type: read_objects(
                joint | {"annotations": [annotation]}, images, mask_type, "test"
            ).box
            for mask_type in ("amodal", "visible")
        }
        assert {mask_type: box.tolist() for mask_type, box in found.items()} == {
            "amodal": [amodal],
            "visible": [visible],
        }, name
    for key, wrong in (("bbox", [amodal, visible]), ("bbox_visible", [1, 2, 3, float("nan")])):
        mask_type: MaskType = "visible" if key == "bbox_visible" else "amodal"
        with pytest.raises(InputError, match=f"annotation 1: {key} is "):
            read_objects(joint | {"annotations": [entry | {key: wrong}]}, images, mask_type, "test")
