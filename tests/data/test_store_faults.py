"""Annotation files that are none, or damaged: nothing wrong reaches a training."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.data.stored import BOTH, Json, item, small, write
from tests.sailvos.official import mask
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.data.frames import AnnotationFile
from vatrack.data.store import open_store
from vatrack.data.store_writer import store_path

GONE = object()
LACKS = r"not an annotation file of `vatrack convert` \('{}' is missing\)"


def spoil(values: Json, key: str, value: object) -> None:
    """Changes a value, or takes it away."""
    values[key] = value
    if value is GONE:
        del values[key]


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("", "videos", GONE, "list `videos` is missing"),
        ("", "annotations", {}, "list `annotations` is missing or is not a list"),
        ("", "annotations", [item(5, 30), 3], "its list `annotations` is not a list of objects"),
        ("videos", "name", GONE, LACKS.format("name")),
        ("images", "video_id", GONE, "image 12: video_id is missing; add it"),
        ("images", "video_id", 77, "image 12: its video 77 is not in the list of videos; add it"),
        ("images", "frame_id", 2, "image 11: has the frame_id 2 of image 12 of the same video"),
        ("annotations", "image_id", GONE, LACKS.format("image_id")),
        ("images", "id", "x", "image 'x': id is 'x'; must be an integer"),
        ("images", "frame_id", 1.5, "frame_id is 1.5; must be an integer"),
        ("images", "frame_id", None, "frame_id is None; must be an integer"),
        ("images", "width", 2**70, r"width is 1\.18.*; must be an integer from 1"),
        ("images", "height", [3], r"height is \[3\]; must be an integer"),
        ("images", "video_id", [1], r"video_id is \[1\]; must be an integer"),
        ("annotations", "image_id", "10", "image_id is '10'; must be an integer"),
        ("annotations", "image_id", 10.5, "image_id is 10.5; must be an integer"),
        ("annotations", "image_id", 2**70, r"image_id is 1\.18.*; must be an integer"),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_other_files(
    tmp_path: Path, name: str, section: str, key: str, value: object, message: str
) -> None:
    data = small()
    spoil(data[section][0] if section else data, key, value)
    path = write(tmp_path / name, data)
    with pytest.raises(InputError, match=message) as caught:
        open_store(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_no_file(tmp_path: Path) -> None:
    for path, message in (
        (
            tmp_path / "none.json",
            "no such file; create it with `vatrack convert`",
        ),
        (tmp_path, "is a folder; give an annotation file"),
    ):
        with pytest.raises(InputError, match=message):
            open_store(path)
    path = write(tmp_path / "a.json")
    whole = path.read_bytes()
    for size in range(0, len(whole), 50):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"a\.json: (not valid JSON|is empty)"):
            open_store(path)
    # The file that was there before is gone, its store is not believed.
    path.write_bytes(whole)
    open_store(path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        open_store(path)


@pytest.mark.parametrize(
    ("mask_types", "changes"),
    [
        (("amodal",), {}),  # a joint form read as a single one
        (BOTH, {"segmentation": mask(1)}),  # and the reverse
        (BOTH, {"bbox": [[1, 1, 2, 2]] * 3}),
    ],
)
def test_annotations_of_another_form(
    tmp_path: Path, mask_types: tuple[MaskType, ...], changes: Json
) -> None:
    file = AnnotationFile(
        write(tmp_path / "a.json", {**small(), "annotations": [item(1, 10, **changes)]}), mask_types
    )
    with pytest.raises(InputError, match=r"a\.json: frame 10: not annotations in this form"):
        file.objects(0)
    file.objects(1)


HUGE = {"size": [64_000_000, 64_000_000], "counts": "P" * 5}
WHOLE = mask(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1, 1, 2]}, r"bbox is \[1, 1, 2\]; must be four numbers"),
        ({"bbox": None}, "bbox is None; must be four numbers"),
        ({"bbox": ["a", 1, 2, 2]}, "bbox is .*; must be four numbers"),
        ({"bbox": [1, 1, -2, 2]}, "bbox is .* with non-negative width"),
        ({"category_id": "3"}, "category_id is '3'; must be an integer"),
        ({"category_id": {"id": 3}}, "category_id is .*; must be an integer"),
        ({"category_id": 3.0}, "category_id is 3.0; must be an integer"),
        ({"area_visible": "3"}, "area_visible is '3'; must be a number from 0"),
        ({"area_visible": -1}, "area_visible is -1; must be a number from 0"),
        ({"instance_id": "one"}, "instance_id is 'one'; must be an integer"),
        ({"instance_id": None}, "instance_id is None; must be an integer"),
        ({"iscrowd": "0"}, "iscrowd is '0'; must be 0 or 1"),
        ({"occlude_rate": -0.02}, "occlude_rate is -0.02; must be a number from 0 to 1"),
        ({"segmentation": [HUGE, WHOLE]}, "segmentation is not a mask"),
        ({"segmentation": [{**WHOLE, "size": [9, 12]}, WHOLE]}, r"segmentation has size \[9, 12\]"),
        (
            {"segmentation": [{**WHOLE, "counts": WHOLE["counts"][:-2]}, WHOLE]},
            "segmentation is damaged: its runs .* do not fill the image, 12 x 8",
        ),
    ],
)
@pytest.mark.parametrize("first", ["images", "annotations"])
def test_no_wrong_field_and_no_damaged_mask_reaches_the_training(
    tmp_path: Path, changes: Json, message: str, first: str
) -> None:
    data = {**small(), "annotations": [item(1, 10, **changes)]}
    path = write(tmp_path / "a.json", {first: data[first], **data})
    with pytest.raises(InputError, match=rf"a\.json: .*annotation 1: {message}"):
        AnnotationFile(path, BOTH).objects(0)
    assert not store_path(path).exists()


def test_a_mask_that_is_damaged_after_the_store_was_built(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {**small(), "annotations": [item(1, 10)]})
    open_store(path)
    before, text = path.stat(), path.read_bytes()
    counts = item(1, 10)["segmentation"][0]["counts"].encode()
    path.write_bytes(text.replace(b'"' + counts + b'"', b'"' + counts[:-2] + b'"  ', 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match="annotation 1: segmentation is damaged"):
        AnnotationFile(path, BOTH).objects(0)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.png", "a/../../x.png", "", 5, "a//b"])
def test_no_frame_outside_the_folder(tmp_path: Path, name: object) -> None:
    data = small()
    data["images"][0]["file_name"] = name
    with pytest.raises(InputError, match=r"a\.json: image 12: file_name is .*relative path"):
        open_store(write(tmp_path / "a.json", data))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        *(
            (key, GONE, LACKS.format(key))
            for key in ("bbox", "segmentation", "area_visible", "category_id", "instance_id")
        ),
        ("category_id", 25, "annotation 1 has category 25; use one of 1 to 24"),
    ],
)
def test_annotations_that_lack_something(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    spoiled = item(1, 10)
    spoil(spoiled, key, value)
    file = AnnotationFile(write(tmp_path / "a.json", {**small(), "annotations": [spoiled]}), BOTH)
    with pytest.raises(InputError, match=rf"a\.json: {message}"):
        file.objects(0)


def test_a_folder_of_one_subset_in_place_of_both_is_told(tmp_path: Path) -> None:
    for subset in ("train", "valid"):
        (tmp_path / subset).mkdir()
        (tmp_path / subset / "joint.json").touch()
    for subset in ("train", "valid"):
        source = tmp_path / subset / "train" / "joint.json"
        told = f"{source}: no such file; give the folder with train/ and valid/: {tmp_path}"
        with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
            open_store(source)
