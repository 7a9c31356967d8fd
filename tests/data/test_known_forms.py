"""JSON files in place of others: what they are, what is wanted, and who is never blamed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vatrack.common.errors import InputError
from vatrack.common.file_forms import FileForm
from vatrack.data import known_forms as forms
from vatrack.data.known_forms import form_of, wants

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
CONVERTED = OWN | {"obj_id": 1, "occlude_rate": 0.5, "area_visible": 1, "bbox_visible": [0] * 4}
HIDDEN = CONVERTED | {"segmentation": MASK, "visible_mask": PART}
SEEN = CONVERTED | {"segmentation": MASK, "visible_mask": MASK}
VIDEO = {"name": "a", "frames": [{"file": "000.bmp", "frame_id": 0}]}


def annotated(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {**SMALL, "annotations": list(items)}


FILES: dict[str, tuple[Any, FileForm | None]] = {
    "joint": (annotated(OWN | {"amodal_mask": MASK, "visible_mask": PART}), forms.JOINT),
    "amodal alone": (annotated(OWN | {"amodal_mask": MASK}), forms.JOINT),
    "visible alone": (annotated(OWN | {"visible_mask": PART}), forms.JOINT),
    "prepared": (annotated(OWN | {"visible_mask": PART, "segmentation": [PART]}), forms.JOINT),
    "annotations first": (
        {"annotations": [OWN | {"amodal_mask": MASK}], **SMALL},
        forms.JOINT,
    ),
    "amodal form": (annotated(SEEN, SEEN, HIDDEN), forms.AMODAL),
    "nothing hidden": (annotated(SEEN, SEEN), None),
    # Own annotations may have more fields, whatever their names.
    "visible alone, with an own segmentation": (
        annotated(OWN | {"visible_mask": PART, "segmentation": MASK}),
        None,
    ),
    "the same with the number of an object": (
        annotated(OWN | {"obj_id": 1, "visible_mask": PART, "segmentation": MASK}),
        None,
    ),
    "own segmentations": (
        annotated(OWN | {"visible_mask": PART, "segmentations": [MASK]}),
        forms.JOINT,
    ),
    "official": (
        annotated(ITEM | {"obj_id": 1, "segmentation": MASK, "visible_mask": PART}),
        forms.OFFICIAL,
    ),
    # A field that is missing makes none of these another form.
    "official without obj_id": (
        annotated(ITEM | {"segmentation": MASK, "visible_mask": PART}),
        None,
    ),
    "official without amodal masks": (
        annotated(ITEM | {"obj_id": 1, "visible_mask": PART}),
        forms.OFFICIAL,
    ),
    "joint without amodal_mask": (
        annotated(OWN | {"obj_id": 1, "segmentation": [MASK, PART], "visible_mask": PART}),
        None,
    ),
    "tracks": ({**SMALL, "annotations": [{"id": 1, "segmentations": [MASK]}]}, forms.TRACKS),
    "frames": (SMALL, forms.LISTING),
    "no annotations yet": (annotated(), None),
    "index": ({"train": [], "valid": [{"name": "a", "frames": []}]}, forms.INDEX),
    "index with frames": ({"train": [VIDEO]}, forms.INDEX),
    # Only lists make a frame index or a clip dictionary, and no others beside them.
    "one video": ({"info": VIDEO}, None),
    "own annotations about frames": (
        {"info": VIDEO, "files": ["a.png"], **annotated(OWN | {"amodal_mask": MASK})},
        forms.JOINT,
    ),
    "videos with frames": ({"videos": [VIDEO], "files": ["a.png"], "annotations": []}, None),
    "videos with names of frames": ({"videos": [{"name": "a", "frames": ["000.bmp"]}]}, None),
    "one image": ({"thumbnail": "a.png"}, None),
    "an image beside clips": ({"thumbnail": "a.png", "a__3": ["000003.bmp"]}, None),
    "clips": ({"a__3": [], "a__6": ["000003.bmp"]}, forms.STRUCTURE),
    "scores": ({"video": "a", "frames": 2, "scores": [1.5]}, forms.SCORES),
    "metrics": ({"image/amodal/AP": 1.0, "track/amodal/IDs": None}, forms.METRICS),
    "details": ({"per_class": {}, "per_video": {}}, forms.DETAILS),
    "predictions": ([FOUND, FOUND], forms.PREDICTIONS),
    "one prediction": (FOUND, forms.PREDICTIONS),
    "predictions with a segmentation": (
        [FOUND | {"segmentation": MASK, "visible": MASK}],
        forms.PREDICTIONS,
    ),
    "one prediction without a score": (
        {key: value for key, value in FOUND.items() if key != "score"},
        None,
    ),
    "coco": ([FOUND | {"segmentation": MASK}], forms.COCO),
    "nothing": ([], None),
    "numbers": ([1, 2], None),
}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_is(name: str, tmp_path: Path) -> None:
    content, form = FILES[name]
    text = json.dumps(content)
    found = form_of(written(tmp_path / "a.json", text))
    assert found == form or (form is None and found is not None and found.vague)
    if name != "one prediction":
        assert form_of(written(tmp_path / "b.json", json.dumps(content, indent=1))) == found
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(text.encode()))
    assert form_of(tmp_path / "c.json.gz") == found


def test_what_only_a_reader_of_predictions_would_not_say(tmp_path: Path) -> None:
    @wants(path=forms.PREDICTIONS)
    def predictions(path: Path) -> None:
        raise InputError(f"{path}: line 1: not valid JSON")

    @wants(path=forms.JOINT)
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
def test_a_damaged_file_has_no_form(text: str, tmp_path: Path) -> None:
    assert form_of(written(tmp_path / "a.json", text)) is None
    assert form_of(tmp_path / "none.json") is None and form_of(tmp_path) is None


@pytest.mark.parametrize(
    "joint",
    [
        OWN | {"visible_mask": PART, "segmentation": MASK},
        # Plainly another form, but this time its reader has nothing against it.
        HIDDEN,
    ],
)
def test_the_fault_of_predictions_is_not_that_of_the_ground_truth(
    joint: dict[str, Any], tmp_path: Path
) -> None:
    @wants(ground_truth=forms.JOINT, predictions=forms.PREDICTIONS)
    def evaluate(ground_truth: Path, predictions: Path) -> None:
        raise InputError(f"{predictions}: line 2: score is 'high'; it must be a number")

    truth = written(tmp_path / "joint.json", json.dumps(annotated(joint)))
    for extra in ({}, {"segmentation": MASK}):
        line = json.dumps(FOUND | {"visible": PART} | extra)
        found = written(tmp_path / "found.jsonl", f"{line}\n{line}\n")
        with pytest.raises(InputError, match=r"found\.jsonl: line 2: score is 'high'; it must"):
            evaluate(truth, found)


def test_one_prediction_that_lacks_a_field_keeps_the_message_on_it(tmp_path: Path) -> None:
    @wants(path=forms.PREDICTIONS)
    def read(path: Path) -> None:
        raise InputError(f"{path}: line 1: has no 'score'; add it")

    content = {key: value for key, value in FOUND.items() if key != "score"}
    with pytest.raises(InputError, match=r"line 1: has no 'score'; add it$"):
        read(written(tmp_path / "p.jsonl", json.dumps(content)))
