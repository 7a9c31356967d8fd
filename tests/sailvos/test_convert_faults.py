"""Bad annotations and damaged masks, and masks of every form, in the conversion."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle_tools

from tests.sailvos.conversion import (
    Change,
    Json,
    content,
    names,
    write_inputs,
)
from tests.sailvos.official import HEIGHT, WIDTH, mask
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.rle import decode
from vatrack.common.value_files import read_json
from vatrack.config.dataset import DatasetConfig
from vatrack.sailvos.convert import convert_files


def test_clips_of_nothing_are_refused(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path, lambda data: data.update(annotations=[]))
    for clips, told in (
        ({}, f"{structure}: contains no clip with frames; give the file from `vatrack cuts"),
        ({"a__9": []}, f"{structure}: contains no clip with frames; give the file from `vatrack"),
        (
            {"other__7": ["000003.bmp"]},
            f"{train}: none of its images is in a clip of {structure}; give files of the same data",
        ),
    ):
        write_json(structure, clips)
        with pytest.raises(InputError, match=re.escape(told)):
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["annotations"][3].update(category_id=3),
            "annotation 3: category 3 is not in the list of categories",
        ),
        (
            lambda d: d["categories"].reverse(),
            r"differ from the method's 24 .*\(first difference at category 1\)",
        ),
        (
            lambda d: d["categories"].pop(),
            r"its categories \(23\) .* \(first difference at category 24\)",
        ),
        (
            lambda d: d["annotations"][9].update(instance_id=104, occlude_rate=0.1),
            "annotation 9: instance 5 occurs twice in image 4",
        ),
        (
            lambda d: d["annotations"][6].update(bbox=[1, 1, -1, 4]),
            "annotation 6: bbox is .* with non-negative width and height",
        ),
        (
            lambda d: d["annotations"].append(d["annotations"][0]),
            "annotations: id 0 occurs more than once",
        ),
        (
            lambda d: d["images"][2].update(file_name="a/images/000009.bmp"),
            r"clip a__3: its frame 000005\.bmp is not in",
        ),
    ],
)
def test_bad_annotations(tmp_path: Path, change: Change, message: str) -> None:
    train, structure = write_inputs(tmp_path, change)
    with pytest.raises(InputError, match=message) as caught:
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert str(train) in str(caught.value)
    assert names(tmp_path) == ["structure.json", "train.json"]


def damaged_masks() -> Iterator[Any]:
    whole = mask(0b1011)
    damages: dict[str, Json] = {
        "transposed": {**whole, "size": [WIDTH, HEIGHT]},
        "one row less": {**whole, "size": [HEIGHT - 1, WIDTH]},
        "same number of pixels": {**whole, "size": [1, HEIGHT * WIDTH]},
        "of a larger image": {"size": [HEIGHT, WIDTH], "counts": "P6"},
        "garbage": {**whole, "counts": "garbage! \n"},
        "letters of another language": {**whole, "counts": "маска"},
        "empty": {**whole, "counts": ""},
        "a run that never ends": {**whole, "counts": "o" * 50},
        "a negative run": {**whole, "counts": "O" + whole["counts"]},
        "twice": {**whole, "counts": whole["counts"] * 2},
    }
    for size in range(len(whole["counts"])):
        damages[f"cut to {size}"] = {**whole, "counts": whole["counts"][:size]}
    for name, damaged in damages.items():
        for key in ("segmentation", "visible_mask"):
            yield pytest.param(key, damaged, id=f"{key}-{name}")


@pytest.mark.parametrize(("key", "damaged"), list(damaged_masks()))
def test_a_damaged_mask_is_refused_before_anything_draws_it(
    tmp_path: Path, key: str, damaged: Json
) -> None:
    train, structure = write_inputs(
        tmp_path, lambda data: data["annotations"][5].update({key: damaged})
    )
    with pytest.raises(
        InputError,
        match=rf"annotation 5: {key} (is damaged|has size|has invalid counts)",
    ) as caught:
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert str(caught.value).startswith(f"{train}: ")
    assert names(tmp_path) == ["structure.json", "train.json"]


def test_a_damaged_mask_is_named_by_another_process_too(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "joint.json").write_text("old")
    train, structure = write_inputs(
        tmp_path, lambda data: data["annotations"][5]["visible_mask"].update(counts="x")
    )
    with pytest.raises(InputError, match=r"annotation 5: visible_mask is damaged: .* fill"):
        convert_files(train, structure, DatasetConfig(), tmp_path / "out", processes=2)
    assert content(tmp_path / "out") == {"joint.json": b"old"}
    assert names(tmp_path) == ["out", "structure.json", "train.json"]


def test_masks_that_are_not_used_are_not_looked_at(tmp_path: Path) -> None:
    """Annotation 3 is too much occluded to be written."""
    train, structure = write_inputs(
        tmp_path, lambda data: data["annotations"][3]["visible_mask"].update(counts="x")
    )
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    with pytest.raises(InputError, match="annotation 3: visible_mask"):
        convert_files(train, structure, DatasetConfig(max_occlusion=1), tmp_path / "out")


def test_cut_off_annotations(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path)
    whole = train.read_bytes()
    for size in (0, 1, 3000, len(whole) - 3):
        train.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"not valid JSON|is empty"):
            convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    packed = tmp_path / "train.json.gz"
    for size in (0, 10, 500):
        packed.write_bytes(gzip.compress(whole)[:size])
        with pytest.raises(InputError, match=r"train\.json\.gz: .* again"):
            convert_files(packed, structure, DatasetConfig(), tmp_path / "out")
    assert names(tmp_path) == ["structure.json", "train.json", "train.json.gz"]


def test_the_folder_may_not_be_a_file(tmp_path: Path) -> None:
    train, structure = write_inputs(tmp_path)
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="out: is a file, not a folder; choose"):
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("form", ["runs", "polygons", "empty runs"])
def test_masks_of_every_form_become_canonical(tmp_path: Path, form: str) -> None:
    bitmap = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    bitmap[1:5, 2:7] = 1
    code = rle_tools.encode(bitmap)["counts"]
    runs = decode(code)
    given: Any = {
        "runs": {"size": [HEIGHT, WIDTH], "counts": runs},
        "polygons": [[2, 1, 7, 1, 7, 5, 2, 5]],
        "empty runs": {"size": [HEIGHT, WIDTH], "counts": [*runs, 0, 0]},
    }[form]
    train, structure = write_inputs(
        tmp_path,
        lambda data: data["annotations"][4].update(
            segmentation=given, iscrowd=None, occlude_rate=-1e-9
        ),
    )
    convert_files(train, structure, DatasetConfig(), tmp_path / "out")
    found = {a["id"]: a for a in read_json(tmp_path / "out" / "joint.json")["annotations"]}[4]
    assert found["amodal_mask"] == {"size": [HEIGHT, WIDTH], "counts": code.decode()}
    assert (found["iscrowd"], found["occlude_rate"]) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iscrowd": "0"}, "iscrowd is '0'; must be 0 or 1"),
        ({"occlude_rate": -0.02}, "occlude_rate is -0.02; must be a number from 0 to 1"),
        ({"occlude_rate": 1.01}, "occlude_rate is 1.01; must be a number from 0 to 1"),
        ({"category_id": {"id": 10}}, r"category_id is \{'id': 10\}; must be an integer"),
    ],
)
def test_fields_mean_the_same_as_elsewhere(tmp_path: Path, changes: Json, message: str) -> None:
    train, structure = write_inputs(tmp_path, lambda data: data["annotations"][4].update(changes))
    with pytest.raises(InputError, match=rf"annotation(s, id)? 4: {message}"):
        convert_files(train, structure, DatasetConfig(), tmp_path / "out")


@pytest.mark.parametrize("name", ["visible.json", "video_amodal.json"])
def test_official_annotations_are_never_written_over(tmp_path: Path, name: str) -> None:
    train, structure = write_inputs(tmp_path)
    train = train.rename(tmp_path / name)
    before = content(tmp_path)
    with pytest.raises(InputError, match=rf"{name}: would overwrite the input"):
        convert_files(train, structure, DatasetConfig(), tmp_path)
    with pytest.raises(InputError, match="would overwrite the input"):
        convert_files(train, structure, DatasetConfig(raw=tmp_path), tmp_path)
    assert content(tmp_path) == before
