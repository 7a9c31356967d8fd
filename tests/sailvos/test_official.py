"""The official annotations: what is kept of them, and what is said about those that are wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sailvos.official import official
from vatrack.common import json_stream
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.json_lists import Texts
from vatrack.sailvos.official import read_official

Json = dict[str, Any]
Change = Callable[[Json], object]


def spoil(path: Path, change: Change) -> Path:
    data = official({"one": 3, "two": 2})
    change(data)
    write_json(path, data)
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_official(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def refused_value(folder: Path, section: str, field: str, value: Any) -> str:
    """What is said of a file in which the third item of a list has this value."""
    return refused(
        spoil(folder / "train.json", lambda data: data[section][2].update({field: value}))
    )


@pytest.mark.parametrize("name", ["train.json", "train.json.gz"])
def test_the_table_holds_the_numbers_and_places_of_the_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", 100)
    data = official({"one": 3, "two": 2})
    data["annotations"] = data["annotations"][::-1]
    data["images"] = data["images"][::-1]
    for number, item in enumerate(data["annotations"]):
        if number % 3 == 0:
            del item["instance_id"]
    write_json(tmp_path / name, data)
    write_json(tmp_path / "plain.json", data)
    found = read_official(tmp_path / name)
    for section in ("categories", "models", "videos", "images"):
        assert getattr(found, section) == data[section]
    table, items = found.annotations, data["annotations"]
    assert table.ids.tolist() == [item["id"] for item in items]
    assert [found.images[row]["id"] for row in table.images] == [item["image_id"] for item in items]
    assert table.objects.tolist() == [item["obj_id"] for item in items]
    assert table.instances.tolist() == [item.get("instance_id", item["obj_id"]) for item in items]
    assert table.rates.tolist() == [item["occlude_rate"] for item in items]
    assert {table.ids.dtype, table.images.dtype, table.offsets.dtype} == {np.dtype(np.int64)}
    texts = Texts(tmp_path / "plain.json")
    places = zip(table.offsets.tolist(), table.lengths.tolist(), strict=True)
    assert [texts.load(offset, length) for offset, length in places] == items


@pytest.mark.parametrize(
    "emptied", [("annotations",), ("annotations", "images"), ("annotations", "images", "videos")]
)
def test_lists_may_be_empty(tmp_path: Path, emptied: tuple[str, ...]) -> None:
    found = read_official(
        spoil(tmp_path / "train.json", lambda data: data.update({key: [] for key in emptied}))
    )
    assert (
        len(found.annotations.ids)
        == len(found.annotations.images)
        == len(found.annotations.rates)
        == 0
    )
    assert len(found.images) == (0 if "images" in emptied else 5)


def test_either_name_of_a_video_will_do(tmp_path: Path) -> None:
    def change(data: Json) -> None:
        data["videos"][0].pop("name")
        data["videos"][1].pop("vid_name")
        data.pop("models")

    assert read_official(spoil(tmp_path / "train.json", change)).models == []


def test_annotations_may_lack_what_is_not_needed(tmp_path: Path) -> None:
    def change(data: Json) -> None:
        for item in data["annotations"]:
            for key in ("instance_id", "model_id", "invisible_mask", "iscrowd", "occlu_depth"):
                del item[key]

    assert len(read_official(spoil(tmp_path / "train.json", change)).annotations.ids) == 10


def set_video(name: str) -> Change:
    def change(data: Json) -> None:
        data["videos"][0].update(name=name, vid_name=name)
        for place, image in enumerate(data["images"][:3]):
            image["file_name"] = f"{name}/images/{place:06d}.bmp"

    return change


UNSAFE = "is not allowed as the name of a file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("images"), "list `images` is missing or is not a list"),
        (lambda d: d.pop("annotations"), "list `annotations` is missing or is not a list"),
        (lambda d: d.update(annotations={}), "list `annotations` is missing or is not a list"),
        (lambda d: d.update(categories=None), "list `categories` is missing or is not a list"),
        (lambda d: d["annotations"].append(3), "its list `annotations` is not a list of objects"),
        (lambda d: d["models"].append([]), "its list `models` is not a list of objects"),
        (
            lambda d: d["annotations"][2].pop("visible_mask"),
            "annotations, id 2: required fields missing: visible_mask",
        ),
        (
            lambda d: [d["annotations"][2].pop(key) for key in ("area", "bbox")],
            "annotations, id 2: required fields missing: area, bbox",
        ),
        (
            lambda d: d["annotations"][2].pop("id"),
            "annotations, id None: required fields missing: id",
        ),
        (
            lambda d: d["annotations"].append({}),
            "annotations, id None: required fields missing: area, ",
        ),
        (
            lambda d: d["images"][1].pop("frame_id"),
            "images, id 1: required fields missing: frame_id",
        ),
        (
            lambda d: d["categories"][1].pop("name"),
            "categories, id 20: required fields missing: name",
        ),
        (lambda d: d["annotations"][1].update(id=0), "annotations: id 0 occurs more than once"),
        (lambda d: d["images"][1].update(id=0), "images: id 0 occurs more than once"),
        (lambda d: d["categories"][1].update(id=10), "categories: id 10 occurs more than once"),
        (
            lambda d: d["annotations"][1].update(image_id=77),
            "annotation 1: its image 77 is not in the list of images",
        ),
        (
            lambda d: d["annotations"][1].update(image_id=-1),
            "annotation 1: its image -1 is not in the list of images",
        ),
        (lambda d: d.update(images=[]), "annotation 0: its image 0 is not in the list of images"),
        (
            lambda d: d["annotations"][3].update(category_id=3),
            "annotation 3: category 3 is not in the list of categories",
        ),
        (
            lambda d: d["images"][1].update(file_name="three/images/000003.bmp"),
            "image 1: its video is not in the list",
        ),
        (
            lambda d: d["images"][1].update(file_name="one/000003.bmp"),
            "image 1: .* has another form; write <video>/images/<file>",
        ),
        (
            lambda d: d["images"][1].update(file_name="one/images/../../x.bmp"),
            "image 1: .* has another form; write <video>/images/<file>",
        ),
        (
            lambda d: d["images"][1].update(file_name="/one/images/x.bmp"),
            "image 1: .* has another form; write <video>/images/<file>",
        ),
        (
            lambda d: d["images"][1].update(file_name="one/pictures/x.bmp"),
            "image 1: .* has another form; write <video>/images/<file>",
        ),
        (
            lambda d: d["images"][1].update(file_name=3),
            "image 1: .* has another form; write <video>/images/<file>",
        ),
        (lambda d: d["images"][1].update(file_name="../images/x.bmp"), f"image 1: '..' {UNSAFE}"),
        (lambda d: d["images"][1].update(file_name="/images/x.bmp"), f"image 1: '' {UNSAFE}"),
        (lambda d: d["images"][1].update(file_name="one/images/.."), f"image 1: '..' {UNSAFE}"),
        (lambda d: d["images"][1].update(file_name="one/images/"), f"image 1: '' {UNSAFE}"),
        (lambda d: d["images"][1].update(file_name="one/images/a\0b.bmp"), f"image 1: .* {UNSAFE}"),
        (
            lambda d: d["images"][1].update(file_name="one/images/000003.bmp"),
            "image 1: its frame .* is also the frame of image 0",
        ),
        (
            lambda d: d["images"][2].update(file_name="one/images/000003.png"),
            "image 2: its frame .* is also the frame of image 0",
        ),
        (
            lambda d: d["videos"][1].update(name="one", vid_name="one"),
            "videos: the name 'one' occurs more than once",
        ),
        (lambda d: d["videos"][1].update(vid_name="three"), "video 1 has two names"),
        (
            lambda d: [d["videos"][1].pop(key) for key in ("name", "vid_name")],
            "video 1 has no name; give it one",
        ),
        (lambda d: d["videos"].append({}), "video None has no name; give it one"),
        (lambda d: d["videos"][1].update(name=3, vid_name=3), f"video 1: 3 {UNSAFE}"),
        (lambda d: d["videos"][1].update(name=["two"], vid_name=["two"]), f"video 1: .* {UNSAFE}"),
        (set_video("a__b"), "video 'a__b' has '__' in its name"),
        (set_video("../../etc"), f"video 0: .* {UNSAFE}"),
        (set_video("/etc"), f"video 0: .* {UNSAFE}"),
        (set_video(".."), f"video 0: .* {UNSAFE}"),
        (set_video("."), f"video 0: .* {UNSAFE}"),
        (set_video("a\\b"), f"video 0: .* {UNSAFE}"),
        (set_video("C:"), f"video 0: .* {UNSAFE}"),
        (set_video("a\nb"), f"video 0: .* {UNSAFE}"),
        (set_video(""), f"video 0: .* {UNSAFE}"),
    ],
)
def test_bad_annotations(tmp_path: Path, change: Change, message: str) -> None:
    path = spoil(tmp_path / "train.json", change)
    with pytest.raises(InputError, match=message):
        read_official(path)
    refused(path)


NOT_WHOLE = [1.5, 1.0, "1", None, True, [1], 2**63, -(2**63), 2**80]


@pytest.mark.parametrize("value", NOT_WHOLE)
@pytest.mark.parametrize(
    ("section", "field"),
    [
        *(
            ("annotations", field)
            for field in ("id", "image_id", "category_id", "obj_id", "instance_id")
        ),
        *(("images", field) for field in ("id", "frame_id", "width", "height")),
        ("categories", "id"),
    ],
)
def test_numbers_that_must_be_whole(tmp_path: Path, section: str, field: str, value: Any) -> None:
    found = refused_value(tmp_path, section, field, value)
    assert f"{field} is " in found and "; must be an integer " in found
    assert section.rstrip("s") in found


@pytest.mark.parametrize("value", [0, -1, -1280])
@pytest.mark.parametrize("field", ["width", "height"])
def test_images_have_a_size(tmp_path: Path, field: str, value: int) -> None:
    found = refused_value(tmp_path, "images", field, value)
    assert f"images, id 2: {field} is {value}; must be an integer from 1 to 2^31 - 1" in found


@pytest.mark.parametrize(
    "box",
    [
        [1, 1, -5, 4],
        [1, 1, 5, -4],
        [1, 1, 5, -0.5],
        [1, 1, 5],
        [1, 1, 5, 4, 3],
        [],
        None,
        "1,1,5,4",
        3,
        [1, 1, "5", 4],
        [1, None, 5, 4],
        [True, 1, 5, 4],
        [[1], 1, 5, 4],
        [1e19, 1, 5, 4],
        [1, -1e300, 5, 4],
        {"x": 1, "y": 1, "w": 5, "h": 4},
    ],
)
@pytest.mark.parametrize("field", ["bbox", "bbox_visible"])
def test_boxes_are_four_numbers(tmp_path: Path, field: str, box: Any) -> None:
    found = refused_value(tmp_path, "annotations", field, box)
    assert f"annotation 2: {field} is " in found
    assert "must be four numbers x, y, width, height, with non-negative width and height" in found


@pytest.mark.parametrize("box", [[-3, -2.5, 0, 0], [1e6, 1e6, 1e6, 1e6], [0.0, 0, 0.5, 12]])
def test_boxes_may_be_empty_or_outside(tmp_path: Path, box: list[float]) -> None:
    """Whether they fit their image and masks is a question for the validation."""
    assert read_official(
        spoil(tmp_path / "train.json", lambda data: data["annotations"][2].update(bbox=box))
    )


@pytest.mark.parametrize("value", [-1, -0.001, "0.5", None, True, [0.5], 1e19])
@pytest.mark.parametrize("field", ["area", "area_visible", "occlude_rate"])
def test_areas_and_rates_are_numbers(tmp_path: Path, field: str, value: Any) -> None:
    found = refused_value(tmp_path, "annotations", field, value)
    assert f"annotation 2: {field} is {value!r}; must be a number from 0 " in found


@pytest.mark.parametrize(
    "mask",
    [
        None,
        3,
        "text",
        [],
        [[1, 1, 5, 1]],
        {},
        {"size": [8, 12]},
        {"counts": "0"},
        {"size": [8, 12], "counts": [95]},
        {"size": [8, 12], "counts": None},
        *(
            {"size": size, "counts": "P3"}
            for size in ([8], [8, 12, 3], [8, "12"], [8, -12], [0, 12], [8.0, 12], None, 96)
        ),
    ],
)
@pytest.mark.parametrize("field", ["segmentation", "visible_mask"])
def test_masks_are_run_length_codes(tmp_path: Path, field: str, mask: Any) -> None:
    found = refused_value(tmp_path, "annotations", field, mask)
    assert re.search(
        f"annotation 2: {field} (is|has) .*(must be|polygons need|create the file again)", found
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["bbox", "area", "occlude_rate", "id"])
def test_numbers_that_json_does_not_have(tmp_path: Path, field: str, number: str) -> None:
    data = official({"one": 3})
    data["annotations"][2][field] = [1, 1, "HERE", 2] if field == "bbox" else "HERE"
    (tmp_path / "train.json").write_text(json.dumps(data).replace('"HERE"', number))
    assert "not valid JSON at byte" in refused(tmp_path / "train.json")


def test_annotations_cut_off_in_the_middle(tmp_path: Path) -> None:
    path = spoil(tmp_path / "train.json", lambda data: None)
    whole = path.read_bytes()
    for size in range(5, len(whole) - 2, 97):
        path.write_bytes(whole[:size])
        found = refused(path)
        assert "not valid JSON at byte" in found and "the file may be truncated: " in found
    write_json(path, [1])
    assert "not a JSON object of lists" in refused(path)
    path.unlink()
    assert "no such file" in refused(path)
