"""Per-track ground truth: against the golden files, and what it does with bad input."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.golden import SHARED_DATA, Case, cases
from vatrack.common.errors import InputError
from vatrack.common.value_files import read_json
from vatrack.data.video_ground_truth import video_ground_truth


@pytest.mark.parametrize("case", cases("evaluation"))
def test_golden(case: Case) -> None:
    mask_types = [
        mask_type
        for mask_type in ("amodal", "visible")
        if case.path(f"video_ground_truth_{mask_type}.json.gz").exists()
    ]
    assert mask_types
    for mask_type in mask_types:
        expected = case.json(f"video_ground_truth_{mask_type}.json.gz")
        assert video_ground_truth(case.json("ground_truth.json.gz"), mask_type, 0.75) == expected


def test_real_clip() -> None:
    """Spec 9.9: frames and mean areas of the four tracks."""
    path = SHARED_DATA / "one_video" / "joint_bbox_amdl.json"
    if not path.exists():
        pytest.skip(f"{path} is missing; set VATRACK_GOLDEN")
    found = {
        mask_type: video_ground_truth(read_json(path), mask_type, 0.75)["annotations"]
        for mask_type in ("amodal", "visible")
    }
    summary = []
    for amodal, visible in zip(found["amodal"], found["visible"], strict=True):
        areas = [
            [area for area in track["areas"] if area is not None] for track in (amodal, visible)
        ]
        means = [round(sum(values) / len(values), 2) for values in areas]
        summary.append((amodal["id"], len(areas[0]), *means))
        assert (
            len(amodal["areas"])
            == len(amodal["segmentations"])
            == len(amodal["occlude_rate"])
            == 53
        )
    assert summary == [
        (1, 53, 143266.87, 142936.19),
        (2, 53, 3970.00, 1972.42),
        (3, 36, 31823.14, 29496.56),
        (4, 12, 26216.67, 17742.50),
    ]


def joint() -> dict[str, Any]:
    images = [{"id": 10 + k, "video_id": 1, "frame_id": k, "width": 4, "height": 3} for k in (1, 0)]
    annotations = [annotation(1, 10, 7, 0.75), annotation(2, 11, 7, 0.5), annotation(3, 11, 4, 0.0)]
    video = {"id": 1, "name": "a", "width": 4, "height": 3, "num_frames": 2}
    return {
        "categories": [{"id": 1, "name": "person"}],
        "videos": [video],
        "images": images,
        "annotations": annotations,
    }


def annotation(number: int, image: int, instance: int, rate: float) -> dict[str, Any]:
    masks = {
        f"{mask_type}_mask": {"size": [3, 4], "counts": mask_type}
        for mask_type in ("amodal", "visible")
    }
    areas = {"area_amodal": 8, "area_visible": 4}
    identity = {
        "id": number,
        "video_id": 1,
        "image_id": image,
        "instance_id": instance,
        "category_id": 1,
    }
    return {**identity, "occlude_rate": rate, **masks, **areas}


def test_limit_is_exclusive_and_order_is_by_instance() -> None:
    tracks = video_ground_truth(joint(), "visible", 0.75)["annotations"]
    assert [(track["id"], track["instance_id"]) for track in tracks] == [(1, 4), (2, 7)]
    assert tracks[1]["areas"] == [None, 4]
    assert tracks[1]["occlude_rate"] == [None, 0.5]
    assert tracks[1]["segmentations"] == [None, {"size": [3, 4], "counts": "visible"}]


def test_instance_twice_in_a_frame() -> None:
    data = joint()
    data["annotations"].append(annotation(9, 11, 4, 0.1))
    with pytest.raises(InputError, match="annotation 9: instance 4 occurs twice in image 11"):
        video_ground_truth(data, "amodal", 0.75)


def test_missing_image() -> None:
    data = joint()
    data["annotations"].append(annotation(9, 99, 4, 0.1))
    with pytest.raises(InputError, match="annotation 9: its image 99"):
        video_ground_truth(data, "amodal", 0.75)


def test_missing_field() -> None:
    data = joint()
    del data["annotations"][2]["area_amodal"]
    with pytest.raises(InputError, match="area_amodal"):
        video_ground_truth(data, "amodal", 0.75)
