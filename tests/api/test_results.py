"""What is seen in one frame."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from vatrack.api.results import FrameResult
from vatrack.common.errors import InputError


def code(mask: np.ndarray) -> dict[str, Any]:
    found = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def square(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[top:bottom, left:right] = True
    return mask


AMODAL = [square(2, 2, 22, 22), square(30, 5, 50, 35), square(0, 0, 0, 0)]
VISIBLE = [square(2, 2, 22, 22), square(30, 5, 40, 35), square(0, 0, 0, 0)]


def result(**changes: Any) -> FrameResult:
    value = FrameResult(
        index=3,
        time_s=0.12,
        shot=0,
        height=40,
        width=60,
        boxes=np.array([[2, 2, 22, 22], [30, 5, 50, 35], [0, 0, 0, 0]], np.float32),
        scores=np.array([0.9, 0.6, 0.2], np.float32),
        class_ids=np.array([1, 5, 1]),
        names=("person", "car", "person"),
        track_ids=np.array([4, 0, 7]),
        rles={"amodal": [code(m) for m in AMODAL], "visible": [code(m) for m in VISIBLE]},
    )
    return dataclasses.replace(value, **changes)


def test_masks_areas_and_visibility() -> None:
    assert np.array_equal(result().masks(), np.stack(AMODAL))
    assert np.array_equal(result().masks("visible"), np.stack(VISIBLE))
    assert result().areas("visible").tolist() == [400, 300, 0]
    assert result().visibility()[:2].tolist() == [1.0, 0.5]
    assert np.isnan(result().visibility()[2])  # an object without pixels


def test_a_method_without_a_mask_type_says_so() -> None:
    only = result(rles={"visible": result().rles["visible"]})
    with pytest.raises(InputError, match="no amodal masks; it predicts visible ones"):
        only.masks()
    assert np.isnan(only.visibility()).all()
    assert only.to_coco()[1]["segmentation"] == only.rles["visible"][1]
    assert only.to_predictions()[0]["amodal"] is None


def test_objects_are_chosen_by_score_and_class() -> None:
    chosen = result().select(0.5)
    assert chosen.track_ids.tolist() == [4, 0]
    assert chosen.names == ("person", "car")
    assert np.array_equal(chosen.masks("visible"), np.stack(VISIBLE[:2]))
    assert result().select(0.0, {1}).track_ids.tolist() == [4, 7]
    nothing = result().select(0.95)
    assert len(nothing) == 0
    assert nothing.masks().shape == (0, 40, 60)
    assert nothing.areas().shape == (0,)
    assert nothing.to_coco() == nothing.to_predictions() == []
    assert nothing.plot(np.zeros((40, 60, 3), np.uint8)).any() == False  # noqa: E712


def test_coco_reads_what_to_coco_gives() -> None:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": 3, "height": 40, "width": 60}],
        "categories": [{"id": 1}, {"id": 5}],
        "annotations": [],
    }
    coco.createIndex()
    items = result().to_coco()
    assert items[1]["bbox"] == [30, 5, 20, 30]
    assert items[1]["visible"] == code(VISIBLE[1])
    found = coco.loadRes([{**item} for item in items]).anns
    assert [item["category_id"] for item in found.values()] == [1, 5, 1]


def test_predictions_are_those_of_contract_2_with_times() -> None:
    first, second, _ = result(visible_boxes=np.ones((3, 4), np.float32)).to_predictions()
    assert first["image_id"] == first["frame"] == 3
    assert (first["time_s"], first["track_id"], first["category_id"]) == (0.12, 4, 1)
    assert first["bbox"] == [2, 2, 20, 20]
    assert second["bbox_visible"] == [1, 1, 0, 0]
    assert second["amodal"] == code(AMODAL[1])


def test_supervision_gets_the_same_objects() -> None:
    found = result().to_supervision()
    assert found.xyxy.tolist() == result().boxes.tolist()
    assert found.tracker_id.tolist() == [4, 0, 7]
    assert np.array_equal(found.mask, np.stack(AMODAL))
    assert list(found.data["class_name"]) == ["person", "car", "person"]
    assert np.array_equal(result().to_supervision("visible").mask, np.stack(VISIBLE))
    assert len(result().select(2.0).to_supervision()) == 0


def test_a_plot_fills_what_is_seen_and_hatches_what_is_hidden() -> None:
    frame = np.full((40, 60, 3), 100, np.uint8)
    drawn = result().select(0.5).plot(frame)
    assert (frame == 100).all()
    changed = (drawn != 100).any(2)
    inside = changed[8:32, 32:38]
    assert inside.all()  # visible: filled
    hidden = changed[8:32, 42:48]
    assert 0.1 < hidden.mean() < 0.9  # hidden: hatched
