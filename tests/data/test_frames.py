"""The frames and objects of an annotation file (spec 2.1, 2.3)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.data.made import WIDTH, annotation, write_clip
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.data.frames import AnnotationFile


@pytest.mark.parametrize(
    "change",
    [
        {"ignore": 1},
        {"iscrowd": 1},
        {"area_visible": 0},
        {"bbox": [10, 8, 0.5, 16]},
        {"bbox": [WIDTH + 5, 8, 10, 10]},
        {"bbox": [-20, 8, 20, 10]},
    ],
    ids=str,
)
def test_unusable_annotations_are_skipped(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_clip(tmp_path, [annotation(0, 0, 1, **change), annotation(1, 0, 2)])
    file = AnnotationFile(path)
    assert file.objects(0).instances.tolist() == [2]


@pytest.mark.parametrize("packed", [False, True])
def test_annotations_that_changed_in_place_have_another_content(
    packed: bool, tmp_path: Path
) -> None:
    path = write_clip(tmp_path, [annotation(0, 0, 1), annotation(1, 3, 2)])

    def read(text: str) -> tuple[list[int], str, str]:
        target = path.with_name("joint.json.gz") if packed else path
        target.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        file = AnnotationFile(target)
        return file.objects(0).labels.tolist(), file.fingerprint(), file.content()

    text = path.read_text()
    before, changed = read(text), read(text.replace('"category_id": 2', '"category_id": 9'))
    assert (before[0], changed[0]) == ([1], [8])
    assert before[1] == changed[1]  # all is where it was
    assert before[2] != changed[2]
    assert read(text) == before


def test_two_boxes_are_read_and_both_are_checked(tmp_path: Path) -> None:
    both = [[10, 8, 20, 16], [10, 8, 12, 16]]
    empty = [[10, 8, 20, 16], [10, 8, 0, 16]]
    path = write_clip(tmp_path, [annotation(0, 0, 1, bbox=both), annotation(1, 0, 2, bbox=empty)])
    file = AnnotationFile(path)
    objects = file.objects(0)
    assert objects.instances.tolist() == [1]
    assert objects.boxes["amodal"].tolist() == [[10, 8, 30, 24]]
    assert objects.boxes["visible"].tolist() == [[10, 8, 22, 24]]


def test_unknown_category_names_the_annotation(tmp_path: Path) -> None:
    path = write_clip(tmp_path, [annotation(5, 0, 1, category_id=25)])
    file = AnnotationFile(path)
    with pytest.raises(InputError, match="annotation 5 has category 25"):
        file.objects(0)


def test_file_without_the_needed_lists_is_an_error(tmp_path: Path) -> None:
    write_json(tmp_path / "other.json", {"images": []})
    with pytest.raises(InputError, match=r"other\.json: list `annotations` is missing"):
        AnnotationFile(tmp_path / "other.json")
