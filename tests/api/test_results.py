"""Results of a frame: masks, areas, choice, drawing, and other libraries' forms."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.scenes import rle
from vatrack.api.results import FrameResult
from vatrack.common.errors import InputError

SIZE = (20, 30)
AMODAL = [(slice(2, 12), slice(3, 13)), (slice(0, 20), slice(20, 30))]
VISIBLE = [(slice(2, 7), slice(3, 13)), (slice(0, 0), slice(0, 0))]


def codes(areas: list[tuple[slice, slice]]) -> list[dict[str, Any]]:
    found = []
    for area in areas:
        bitmap = np.zeros(SIZE, np.uint8)
        bitmap[area] = 1
        found.append(rle(bitmap))
    return found


def make(rows: int = 2, types: tuple[str, ...] = ("amodal", "visible")) -> FrameResult:
    rles = {"amodal": codes(AMODAL)[:rows], "visible": codes(VISIBLE)[:rows]}
    return FrameResult(
        7,
        0.28,
        1,
        *SIZE,
        np.array([[3, 2, 13, 12], [20.1, 0.7, 29.9, 20]], np.float32)[:rows],
        np.array([0.9, 0.4], np.float32)[:rows],
        np.array([1, 3])[:rows],
        ("person", "chair")[:rows],
        np.array([5, 2])[:rows],
        {key: value for key, value in rles.items() if key in types},  # type: ignore[misc]
    )


def test_masks_are_decoded_in_the_order_of_the_rows() -> None:
    result = make()
    for mask_type, areas in (("amodal", AMODAL), ("visible", VISIBLE)):
        masks = result.masks(mask_type)  # type: ignore[arg-type]
        assert masks.shape == (2, *SIZE) and masks.dtype == bool
        for mask, area in zip(masks, areas, strict=True):
            expected = np.zeros(SIZE, bool)
            expected[area] = True
            assert np.array_equal(mask, expected)
    assert result.areas().tolist() == [100, 200]
    assert result.areas("visible").tolist() == [50, 0]
    assert result.visibility().tolist() == [0.5, 0.0]


@pytest.mark.parametrize("types", [("amodal",), ("visible",)])
def test_a_method_with_one_type_of_mask(types: tuple[str, ...]) -> None:
    result = make(types=types)
    assert np.isnan(result.visibility()).all()
    (other,) = {"amodal", "visible"} - set(types)
    with pytest.raises(InputError, match=f"no {other} masks; use its {types[0]} ones"):
        result.masks(other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown mask type 'visble'; did you mean visible"):
        result.masks("visble")  # type: ignore[arg-type]
    assert result.to_coco()[0]["segmentation"] == result.rles[types[0]][0]  # type: ignore[index]
    assert "visible" not in result.to_coco()[0]
    assert result.to_predictions()[0][other] is None
    assert result.plot(np.zeros((*SIZE, 3), np.uint8)).any()


def test_an_empty_frame() -> None:
    result = make(0)
    assert len(result) == 0 and result.masks().shape == (0, *SIZE)
    assert result.areas().shape == result.visibility().shape == (0,)
    assert result.to_coco() == result.to_predictions() == []
    frame = np.full((*SIZE, 3), 9, np.uint8)
    assert np.array_equal(result.plot(frame), frame)
    assert len(result.select(0.5)) == 0


def test_select() -> None:
    result = make()
    assert result.select(0.5).names == ("person",)
    assert result.select(0.0, {3}).track_ids.tolist() == [2]
    assert result.select(0.5, {3}).masks().shape == (0, *SIZE)
    chosen = result.select(class_ids=[3])
    assert (chosen.masks()[0] == result.masks()[1]).all()
    assert len(result) == 2, "the result itself stays"


def test_the_plot_leaves_the_frame_as_it_is() -> None:
    frame = np.full((*SIZE, 3), 9, np.uint8)
    drawn = make().plot(frame)
    assert (frame == 9).all() and drawn.shape == frame.shape and (drawn != 9).any()


def test_forms_of_coco_and_of_our_files() -> None:
    result = make()
    first, second = result.to_coco()
    assert first["bbox"] == [3.0, 2.0, 10.0, 10.0]
    assert (first["image_id"], first["category_id"], first["track_id"]) == (7, 1, 5)
    assert np.float32(second["bbox"]).tolist() == second["bbox"], "exact float32 values"
    assert second["segmentation"] == result.rles["amodal"][1]
    assert second["visible"] == result.rles["visible"][1]
    ours = result.to_predictions()[1]
    assert (ours["frame"], ours["time_s"], ours["bbox"]) == (7, 0.28, second["bbox"])
    assert (ours["amodal"], ours["visible"]) == (second["segmentation"], second["visible"])


def test_supervision_takes_it() -> None:
    supervision = pytest.importorskip("supervision")
    result = make()
    found = result.to_supervision()
    assert isinstance(found, supervision.Detections) and len(found) == 2
    assert found.tracker_id.tolist() == [5, 2] and found.class_id.tolist() == [1, 3]
    assert found.data["class_name"].tolist() == ["person", "chair"]
    assert found.mask.sum() == 300
    assert result.to_supervision("visible").mask.sum() == 50
    assert len(make(0).to_supervision()) == 0


def test_supervision_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match="pip install supervision"):
        make().to_supervision()


def test_a_broken_supervision_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "supervision.py").write_text("raise ImportError('libGL.so.1: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "supervision", raising=False)
    with pytest.raises(InputError, match=r"cannot be imported \(libGL\.so\.1: .*\); repair"):
        make().to_supervision()


def test_a_result_is_printed_in_short() -> None:
    assert (
        repr(make())
        == "FrameResult(frame 7 at 0.280 s, 2 objects: person 5 (0.90), chair 2 (0.40))"
    )
    assert repr(make(0)) == "FrameResult(frame 7 at 0.280 s, 0 objects)"
