"""The objects of any annotation file, against the specification."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.stored import BOTH, Json, image, item
from tests.sailvos.official import mask
from vatrack.common import json_stream
from vatrack.common.mask_types import MaskType
from vatrack.common.value_files import read_json
from vatrack.data.fields import is_safe_path
from vatrack.data.frames import AnnotationFile
from vatrack.data.store_writer import store_path

NUMBERS = st.integers(-(2**40), 2**40) | st.integers(0, 9)
SIDES = st.sampled_from([-3.0, 0.0, 0.5, 0.9375, 1.0, 2.5, 7.0, 11.0, 30.0])
LENGTHS = SIDES.filter(lambda side: side >= 0)
BOXES = st.tuples(SIDES, SIDES, LENGTHS, LENGTHS).map(list)
NAMES = st.text(min_size=1, max_size=5).filter(is_safe_path)


@st.composite
def annotation_files(draw: st.DrawFn) -> tuple[tuple[MaskType, ...], Json]:
    """A file of one of the forms, and its mask types."""
    form = draw(st.sampled_from(["single", "joint", "joint-2bbox"]))
    known = draw(st.lists(NUMBERS, unique=True, max_size=3))
    videos = [{"id": number, "name": f"é{number}"} for number in known]
    images = []
    places = [(video, position) for video in known for position in range(-2, 9)]
    chosen = draw(st.lists(st.sampled_from(places), unique=True, max_size=8)) if known else []
    size = len(chosen)
    numbers = draw(st.lists(NUMBERS, unique=True, min_size=size, max_size=size))
    for number, (video, position) in zip(numbers, chosen, strict=True):
        entry = image(number, video, position)
        images.append(entry | {"width": draw(st.integers(1, 14)), "file_name": draw(NAMES)})
    annotations = []
    image_ids = [entry["id"] for entry in images] + [2**50]
    for number in range(draw(st.integers(0, 12))):
        entry = item(
            number,
            draw(st.sampled_from(image_ids)),
            draw(NUMBERS),
            category_id=draw(st.integers(1, 24)),
        )
        width = next((i["width"] for i in images if i["id"] == entry["image_id"]), 12)
        amodal, visible = mask(2 * number, width), mask(2 * number + 1, width)
        entry["bbox"] = [draw(BOXES), draw(BOXES)] if form == "joint-2bbox" else draw(BOXES)
        entry["segmentation"] = amodal if form == "single" else [amodal, visible]
        entry["area_visible"] = draw(st.integers(0, 2))
        if form == "single":
            entry["area"] = draw(st.sampled_from([0, 0.5, 3]))
        entry["iscrowd"] = draw(st.sampled_from([0, 0, 0, 1]))
        if draw(st.booleans()):
            entry["ignore"] = draw(st.sampled_from([0, False, True]))
        annotations.append(entry)
    sections = {"videos": videos, "images": images, "annotations": annotations}
    others: Json = {"licenses": [{"id": 1}], "version": 1.5}
    order = draw(st.permutations(list((sections | others).items())))
    return BOTH if form != "single" else ("visible",), dict(order)


def plain_objects(frame: Json, data: Json, mask_types: tuple[MaskType, ...]) -> Json:
    """Spec 2.3: the usable annotations of a frame."""
    found: Json = {
        "boxes": {mask_type: [] for mask_type in mask_types},
        "rles": {mask_type: [] for mask_type in mask_types},
        "labels": [],
        "instances": [],
    }
    two_boxes = False
    for entry in data["annotations"]:
        if entry["image_id"] != frame["id"] or entry.get("ignore") or entry["iscrowd"]:
            continue
        if entry.get("area", entry["area_visible"]) <= 0:
            continue
        two_boxes = isinstance(entry["bbox"][0], list)
        boxes = entry["bbox"] if two_boxes else [entry["bbox"]]
        if not all(
            min(x + width, frame["width"]) > max(x, 0)
            and min(y + height, frame["height"]) > max(y, 0)
            and min(width, height) >= 1
            for x, y, width, height in boxes
        ):
            continue
        for mask_type, (x, y, width, height) in zip(mask_types, boxes, strict=False):
            found["boxes"][mask_type].append([x, y, x + width, y + height])
        masks = entry["segmentation"] if len(mask_types) == 2 else [entry["segmentation"]]
        for mask_type, rle in zip(mask_types, masks, strict=True):
            found["rles"][mask_type].append(rle)
        found["labels"].append(entry["category_id"] - 1)
        found["instances"].append(entry["instance_id"])
    if found["labels"] and not two_boxes:
        found["boxes"] = {mask_types[0]: found["boxes"][mask_types[0]]}
    return found


@settings(max_examples=200)
@given(drawn=annotation_files(), block=st.sampled_from([1, 13, 1 << 22]), packed=st.booleans())
def test_objects_are_those_of_the_file(
    tmp_path: Path, drawn: tuple[tuple[MaskType, ...], Json], block: int, packed: bool
) -> None:
    mask_types, data = drawn
    path = tmp_path / ("a.json.gz" if packed else "a.json")
    text = json.dumps(data, ensure_ascii=packed).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    # Examples follow each other within the resolution of the clock.
    store_path(path).unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "BLOCK", block)
        file = AnnotationFile(path, mask_types)
    by_frame = sorted(data["images"], key=lambda entry: entry["frame_id"])
    frames = [
        entry for video in data["videos"] for entry in by_frame if entry["video_id"] == video["id"]
    ]
    assert len(file) == len(frames)
    for number, expected in enumerate(frames):
        frame, objects = file.frame(number), file.objects(number)
        assert {**asdict(frame), "id": frame.image_id} == {**expected, "image_id": frame.image_id}
        plain = plain_objects(expected, data, mask_types)
        found = {mask_type: boxes.tolist() for mask_type, boxes in objects.boxes.items()}
        assert found == plain["boxes"]
        for boxes in objects.boxes.values():
            assert boxes.shape[1:] == (4,) and boxes.dtype == np.float32
        texts = {
            mask_type: [code | {"counts": code["counts"].decode()} for code in codes]
            for mask_type, codes in objects.rles.items()
        }
        assert texts == plain["rles"]
        assert objects.labels.tolist() == plain["labels"]
        assert objects.instances.tolist() == plain["instances"]
        belonging = [entry for entry in data["annotations"] if entry["image_id"] == frame.image_id]
        assert file.counts[number] == len(belonging)
    assert read_json(path) == data
