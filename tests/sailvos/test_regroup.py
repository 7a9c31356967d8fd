"""From videos to clips: order, numbers, and that nothing is lost silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.sailvos.official import STRUCTURE, annotation, official
from tests.sailvos.random_subsets import plainly_regrouped, subsets
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.json_lists import Texts
from vatrack.sailvos.official import read_official
from vatrack.sailvos.regroup import plan_clips, regroup

Json = dict[str, Any]
WHOLE = {"a": ["000004.bmp", "000005.bmp", "000003.png"], "b": ["000003.bmp", "000004.bmp"]}


def regrouped(folder: Path, structure: dict[str, list[str]], data: Json) -> Json:
    """What the plan says, carried out on the whole file."""
    path = folder / "train.json"
    write_json(path, data)
    found = read_official(path)
    plan = plan_clips(found, structure, folder / "clips.json")
    texts, table = Texts(path), found.annotations
    annotations = [
        regroup(texts.load(int(table.offsets[row]), int(table.lengths[row])), clip, instance)
        for row, clip, instance in zip(
            plan.rows, plan.clips.tolist(), plan.instances.tolist(), strict=True
        )
    ]
    return {"videos": plan.videos, "images": plan.images, "annotations": annotations}


def test_clips_are_numbered_in_the_order_of_the_annotations(tmp_path: Path) -> None:
    data = regrouped(tmp_path, STRUCTURE, official({"a": 3, "b": 2}))
    assert [(v["id"], v["name"], v["num_frames"]) for v in data["videos"]] == [
        (1, "a__5", 2),
        (2, "a__3", 1),
        (3, "b__1", 2),
    ]
    assert [(i["id"], i["video_id"], i["file_name"], i["frame_id"]) for i in data["images"]] == [
        (0, 1, "a__5/images/000003.bmp", 0),
        (1, 1, "a__5/images/000004.bmp", 1),
        (2, 2, "a__3/images/000005.bmp", 0),
        (3, 3, "b__1/images/000003.bmp", 0),
        (4, 3, "b__1/images/000004.bmp", 1),
    ]
    found = [
        (a["id"], a["video_id"], a["image_id"], a["obj_id"], a["instance_id"])
        for a in data["annotations"]
    ]
    assert found == [
        (0, 1, 0, 4, 1),
        (1, 1, 0, 9, 2),
        (2, 1, 1, 4, 1),
        (3, 1, 1, 9, 2),
        (4, 2, 2, 4, 3),
        (5, 2, 2, 9, 4),
        (6, 3, 3, 4, 5),
        (7, 3, 3, 9, 6),
        (8, 3, 4, 4, 5),
        (9, 3, 4, 9, 6),
    ]


def test_whole_videos_keep_their_frame_numbers(tmp_path: Path) -> None:
    data = regrouped(tmp_path, WHOLE, official({"a": 3, "b": 2}))
    assert [(video["name"], video["num_objs"]) for video in data["videos"]] == [("a", 2), ("b", 2)]
    assert [image["frame_id"] for image in data["images"]] == [0, 1, 2, 0, 1]


def test_identity_is_instance_id_in_clips_and_obj_id_in_whole_videos(tmp_path: Path) -> None:
    data = official({"a": 3, "b": 2})
    for item in data["annotations"]:
        item["instance_id"] = 1
    assert {
        item["instance_id"] for item in regrouped(tmp_path, STRUCTURE, data)["annotations"]
    } == {1, 2, 3}
    assert {item["instance_id"] for item in regrouped(tmp_path, WHOLE, data)["annotations"]} == {
        1,
        2,
        3,
        4,
    }
    for item in data["annotations"]:
        del item["instance_id"]
    assert {
        item["instance_id"] for item in regrouped(tmp_path, STRUCTURE, data)["annotations"]
    } == {1, 2, 3, 4, 5, 6}


def test_fields_that_are_kept() -> None:
    item = annotation(3, 7, 4, 0.5)
    found = regroup({**item, "extra": [1], "video_id": 77}, 5, 6)
    assert found == {**item, "video_id": 5, "instance_id": 6}
    for key in ("model_id", "invisible_mask", "iscrowd", "occlu_depth"):
        del item[key]
    assert regroup(item, 5, 6).keys() == item.keys() | {"video_id"}


def test_nothing_at_all(tmp_path: Path) -> None:
    empty: dict[str, list[Any]] = {"videos": [], "images": [], "annotations": []}
    assert regrouped(tmp_path, {"other__3": ["000003.bmp"]}, official({})) == empty
    # A video without a clip is no fault as long as it has no annotation.
    data = official({"a": 3})
    assert regrouped(tmp_path, {}, {**data, "annotations": []}) == empty


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ({**STRUCTURE, "a__3": []}, r"clips\.json: clip a__3: has no frames; remove it$"),
        (
            {key: STRUCTURE[key] for key in ("a__5", "a__3")},
            r"2 annotated images in no clip \(annotation 6 of image 3\)",
        ),
        (
            {**STRUCTURE, "a__5": ["000003.bmp"]},
            r"1 annotated image in no clip \(annotation 2 of image 1\)",
        ),
        (
            {**STRUCTURE, "a__3": ["000009.bmp"]},
            r"clips\.json: clip a__3: its frame 000009\.bmp is not in .*/train\.json",
        ),
        (
            {**STRUCTURE, "a__3": ["000004.bmp", "000005.bmp"]},
            r"clips\.json: clip a__3: its frame a/images/000004\.bmp is also in another clip",
        ),
        (
            {**STRUCTURE, "a": ["000005.png"]},
            r"clips\.json: clip a: its frame a/images/000005\.bmp is also in another clip",
        ),
        (
            {**STRUCTURE, "a__3": ["000005.bmp", "000005.png"]},
            r"clips\.json: clip a__3: its frame 000005 is listed more than once",
        ),
    ],
)
def test_nothing_is_lost(tmp_path: Path, structure: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        regrouped(tmp_path, structure, official({"a": 3, "b": 2}))


@pytest.mark.parametrize("examples", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_regrouping_is_that_of_the_specification(tmp_path: Path, examples: int) -> None:
    @settings(max_examples=examples)
    @given(subset=subsets())
    def check(subset: tuple[dict[str, list[str]], Json]) -> None:
        structure, data = subset
        assert regrouped(tmp_path, structure, data) == plainly_regrouped(structure, data)

    check()
