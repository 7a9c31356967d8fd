"""Predictions as MOTS and MOTChallenge: one mask a pixel, or boxes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import motmetrics
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.evaluation.scenes import (
    add_object,
    detection,
    document,
    rectangle,
)
from tests.exchange.exchanged import load, overlapping, write
from vatrack.common.errors import InputError
from vatrack.exchange import export_predictions, import_predictions


@pytest.mark.parametrize(("form", "first"), [("mots", 0), ("mots-challenge", 1)])
def test_mots_has_no_overlap(tmp_path: Path, form: Any, first: int) -> None:
    truth, lines = overlapping(tmp_path)
    result = export_predictions(lines, truth, form, tmp_path / "mots", "visible")
    rows = [line.split(" ") for line in (tmp_path / "mots/clip__1.txt").read_text().splitlines()]
    assert [row[:5] for row in rows] == [
        [str(first + frame), name, category, "120", "160"]
        for frame in (0, 1)
        for name, category in (("1001", "1"), ("3001", "3"))
    ]
    masks = [coco_mask.decode({"size": [120, 160], "counts": row[5]}) for row in rows[:2]]
    assert np.array_equal(masks[0], rectangle(0, 0, 30, 40))  # the lower score gives way
    assert np.array_equal(masks[1], rectangle(30, 0, 70, 40))
    assert result.notes[0] == (
        "4 masks cut where others overlap (MOTS allows no overlap); 2 completely hidden ones were "
        "skipped"
    )

    import_predictions(tmp_path / "mots", truth, form, tmp_path / "back.jsonl", "visible")
    back = load(tmp_path / "back.jsonl")
    assert [item["image_id"] for item in back] == [1, 1, 2, 2]
    assert [item["category_id"] for item in back] == [1, 3, 1, 3]
    assert all(item["amodal"] is None and item["score"] == 1.0 for item in back)
    assert np.array_equal(coco_mask.decode(back[0]["visible"]), masks[0])


# motmetrics 1.4 subtracts a tuple from a table, as pandas 4 no longer allows.
@pytest.mark.filterwarnings("ignore:Operation with tuple is deprecated")
def test_motmetrics_reads_boxes(scene: tuple[Path, Path], tmp_path: Path) -> None:
    truth, lines = scene
    export_predictions(lines, truth, "motchallenge", tmp_path / "mot", "amodal")
    table = motmetrics.io.loadtxt(str(tmp_path / "mot/clip__1.txt"), fmt="mot15-2D")
    own = [item for item in load(lines) if item["image_id"] < 46]
    assert len(table) == len(own)
    frames = table.index.get_level_values("FrameId")
    assert sorted(frames) == sorted(item["image_id"] - 39 for item in own)
    left, width = table[["X", "Width"]].to_numpy().T
    assert sorted(left.tolist()) == pytest.approx(sorted(item["bbox"][0] for item in own))
    assert sorted(width.tolist()) == pytest.approx(sorted(item["bbox"][2] for item in own))

    result = import_predictions(
        tmp_path / "mot", truth, "motchallenge", tmp_path / "back.jsonl", "amodal"
    )
    back = load(tmp_path / "back.jsonl")
    assert result.detections == len(back) == len(load(lines))
    assert "boxes are used as masks" in result.notes[0]
    boxes = {(item["image_id"], tuple(np.round(item["bbox"], 2))) for item in back}
    assert boxes == {(item["image_id"], tuple(np.round(item["bbox"], 2))) for item in load(lines)}
    assert int(coco_mask.area(back[0]["amodal"])) == round(back[0]["bbox"][2] * back[0]["bbox"][3])


def test_what_mots_cannot_hold(tmp_path: Path) -> None:
    joint = document([1])
    add_object(joint, 1, 1, 1, rectangle(0, 0, 40, 40))
    spot = rectangle(0, 0, 1, 1)
    many = [detection(1, 1, 0.5, track, spot, spot) for track in range(1000)]
    truth, lines = write(tmp_path, joint, many)
    with pytest.raises(InputError, match="1000 tracks of class 1; MOTS has room for 999"):
        export_predictions(lines, truth, "mots", tmp_path / "mots", "visible")


def test_what_mots_says_of_classes(tmp_path: Path) -> None:
    """Its class 10 marks regions that do not count, and a track has one class."""
    joint = document([2])
    name = next(item["name"] for item in joint["categories"] if item["id"] == 10)
    spot = rectangle(0, 0, 9, 9)
    found = [detection(image, 10, 0.5, 1, spot, spot) for image in (1, 2)]
    found += [detection(image, 2 + image, 0.5, 2, spot, spot) for image in (1, 2)]
    truth, lines = write(tmp_path, joint, found)
    notes = export_predictions(lines, truth, "mots", tmp_path / "mots", "visible").notes
    assert (
        f"class 10 ({name}) has the number of MOTS's ignore regions: tools that read MOTS do not "
        "count its 2 masks" in notes
    )
    assert "1 track of several classes; the most frequent class is used" in notes
    truth, lines = write(tmp_path, joint, found[2:3])
    notes = export_predictions(lines, truth, "mots", tmp_path / "mots", "visible").notes
    assert notes == ("scores are not written: MOTS has none",)


def test_class_0_of_motchallenge_is_a_class(tmp_path: Path) -> None:
    joint = document([1])
    joint["categories"] = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    spot = rectangle(0, 0, 9, 9)
    truth, lines = write(tmp_path, joint, [detection(1, 0, 0.5, 1, spot, spot)])
    export_predictions(lines, truth, "motchallenge", tmp_path / "boxes", "visible")
    import_predictions(tmp_path / "boxes", truth, "motchallenge", tmp_path / "back.jsonl")
    assert [item["category_id"] for item in load(tmp_path / "back.jsonl")] == [0]
