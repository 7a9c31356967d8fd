"""JSON files in place of others: what they are, and what is wanted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vatrack.common import file_kinds as kinds
from vatrack.common.errors import InputError
from vatrack.common.file_kinds import Kind, kind_of, wants

MASK = {"size": [2, 2], "counts": "04"}
PART = {"size": [2, 2], "counts": "13"}
SMALL = {
    "categories": [{"id": 1, "name": "ball"}],
    "videos": [{"id": 1, "name": "a"}],
    "images": [{"id": 1, "video_id": 1, "file_name": "a/000.bmp"}],
}
ITEM = {"id": 1, "image_id": 1, "category_id": 1}
OWN = ITEM | {"video_id": 1, "instance_id": 1}
FOUND = ITEM | {"score": 0.5, "bbox": [0, 0, 1, 1], "track_id": 0}
HIDDEN = OWN | {"obj_id": 1, "segmentation": MASK, "visible_mask": PART}
SEEN = OWN | {"obj_id": 1, "segmentation": MASK, "visible_mask": MASK}


def annotated(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {**SMALL, "annotations": list(items)}


FILES: dict[str, tuple[Any, Kind | None]] = {
    "joint": (annotated(OWN | {"amodal_mask": MASK, "visible_mask": PART}), kinds.JOINT),
    "amodal alone": (annotated(OWN | {"amodal_mask": MASK}), kinds.JOINT),
    "visible alone": (annotated(OWN | {"visible_mask": PART}), kinds.JOINT),
    "prepared": (annotated(OWN | {"visible_mask": PART, "segmentation": [PART]}), kinds.JOINT),
    "annotations first": (
        {"annotations": [OWN | {"amodal_mask": MASK}], **SMALL},
        kinds.JOINT,
    ),
    "amodal form": (annotated(SEEN, SEEN, HIDDEN), kinds.AMODAL),
    "nothing hidden": (annotated(SEEN, SEEN), None),
    "official": (
        annotated(ITEM | {"obj_id": 1, "segmentation": MASK, "visible_mask": PART}),
        kinds.OFFICIAL,
    ),
    # A field that is missing makes none of these another kind.
    "official without obj_id": (
        annotated(ITEM | {"segmentation": MASK, "visible_mask": PART}),
        None,
    ),
    "official without amodal masks": (
        annotated(ITEM | {"obj_id": 1, "visible_mask": PART}),
        kinds.OFFICIAL,
    ),
    "joint without amodal_mask": (
        annotated(OWN | {"obj_id": 1, "segmentation": [MASK, PART], "visible_mask": PART}),
        None,
    ),
    "tracks": ({**SMALL, "annotations": [{"id": 1, "segmentations": [MASK]}]}, kinds.TRACKS),
    "frames": (SMALL, kinds.LISTING),
    "no annotations yet": (annotated(), None),
    "index": ({"train": [], "valid": [{"name": "a", "frames": []}]}, kinds.INDEX),
    "clips": ({"a__3": [], "a__6": ["000003.bmp"]}, kinds.STRUCTURE),
    "scores": ({"video": "a", "frames": 2, "scores": [1.5]}, kinds.SCORES),
    "metrics": ({"image/amodal/AP": 1.0, "track/amodal/IDs": None}, kinds.METRICS),
    "details": ({"per_class": {}, "per_video": {}}, kinds.DETAILS),
    "predictions": ([FOUND, FOUND], kinds.PREDICTIONS),
    "one prediction": (FOUND, kinds.PREDICTIONS),
    "coco": ([FOUND | {"segmentation": MASK}], kinds.COCO),
    "nothing": ([], None),
    "numbers": ([1, 2], None),
}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_is(name: str, tmp_path: Path) -> None:
    content, kind = FILES[name]
    text = json.dumps(content)
    found = kind_of(written(tmp_path / "a.json", text))
    assert found == kind or (kind is None and found is not None and found.vague)
    if name != "one prediction":
        assert kind_of(written(tmp_path / "b.json", json.dumps(content, indent=1))) == found
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(text.encode()))
    assert kind_of(tmp_path / "c.json.gz") == found


def test_what_only_a_reader_of_predictions_would_not_say(tmp_path: Path) -> None:
    @wants(path=kinds.PREDICTIONS)
    def predictions(path: Path) -> None:
        raise InputError(f"{path}: line 1: not valid JSON")

    @wants(path=kinds.JOINT)
    def joint(path: Path) -> None:
        raise InputError(f"{path}: list `annotations` is missing")

    spread = json.dumps(FOUND, indent=1)
    for text, told in (
        (
            json.dumps({"predictions": [FOUND], "info": {}}),
            "one JSON object (keys: `predictions`, ",
        ),
        ("{}", "one JSON object (keys: none)"),
        (spread, "JSON with objects over several lines"),
        (f"{spread}\n{spread}", "JSON with objects over several lines"),
    ):
        path = written(tmp_path / "p.json", text)
        with pytest.raises(InputError) as caught:
            predictions(path)
        assert str(caught.value).startswith(f"{path}: is {told}")
        assert "not a file of predictions; give JSON Lines (one pre" in str(caught.value)
    with pytest.raises(InputError, match=r"list `annotations` is missing$"):
        joint(written(tmp_path / "p.json", json.dumps({"images": []} | {"annotation": []})))
    line = json.dumps(FOUND)
    for lines in (f"{line}\n{line[:30]}", f"{line},\n{line}"):
        with pytest.raises(InputError, match=r"line 1: not valid JSON$"):
            predictions(written(tmp_path / "p.jsonl", lines))


@pytest.mark.parametrize(
    "text", ["", "{", "{1: 2}", '{"a"', '{"annotations": [{]}', "text", "[", "\x00", '[{"image_id"']
)
def test_a_damaged_file_is_of_no_kind(text: str, tmp_path: Path) -> None:
    assert kind_of(written(tmp_path / "a.json", text)) is None
    assert kind_of(tmp_path / "none.json") is None and kind_of(tmp_path) is None


def test_only_what_is_refused_is_looked_at(tmp_path: Path) -> None:
    path = written(tmp_path / "t.json", json.dumps(FILES["tracks"][0]))

    @wants(files=(kinds.JOINT, kinds.OFFICIAL))
    def read(files: Any, *, bad: bool) -> int:
        if bad:
            raise InputError("told by the reader")
        return 3

    assert read(path, bad=False) == 3
    for files in (path, str(path), [path], {"valid": path}):
        with pytest.raises(InputError) as caught:
            read(files, bad=True)
        assert str(caught.value) == (
            f"{path}: is {kinds.TRACKS.what}, not {kinds.JOINT.what}; {kinds.JOINT.give}"
        )
    for files in (None, [], {"valid": tmp_path / "none"}):
        with pytest.raises(InputError, match="told by the reader"):
            read(files, bad=True)
