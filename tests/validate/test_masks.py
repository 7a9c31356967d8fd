"""The checks of fields against masks, on random masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from tests.evaluation.scenes import rle
from tests.validate.conftest import fields
from vatrack.validate.findings import Findings
from vatrack.validate.masks import Rle, Row, check_masks

Case = tuple[np.ndarray, np.ndarray]

VALUES = ("bbox", "bbox_visible", "area", "area_visible", "occlude_rate")
MASKS = ("segmentation", "visible_mask", "invisible_mask")


@st.composite
def amodal_and_visible(draw: st.DrawFn) -> Case:
    """An amodal mask with at least one pixel, and a part of it as the visible one, with at least
    one pixel."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    amodal = draw(arrays(bool, shape, elements=st.booleans()))
    amodal[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = True
    visible = amodal & draw(arrays(bool, shape, elements=st.booleans()))
    pixels = np.argwhere(amodal)
    visible[tuple(pixels[draw(st.integers(0, len(pixels) - 1))])] = True
    return amodal, visible


def row(annotation: dict[str, Any], item: str = "annotation 7") -> Row:
    codes = [annotation.get(name) for name in MASKS]
    rles: list[Any] = [
        Rle(code["size"][0], code["size"][1], code["counts"]) if code else None for code in codes
    ]
    return Row(item, *(annotation.get(name) for name in VALUES), *rles)


def check(*annotations: dict[str, Any], compare: bool = True) -> Findings:
    rows = [
        row(annotation, f"annotation {number}") for number, annotation in enumerate(annotations)
    ]
    return check_masks(rows, ("train.json", compare))


@settings(max_examples=60)
@given(st.lists(amodal_and_visible(), max_size=4), st.booleans())
def test_consistent_annotations_give_no_finding(cases: list[Case], compare: bool) -> None:
    assert not check(*(fields(*case) for case in cases), compare=compare).counts


@settings(max_examples=60)
@given(amodal_and_visible())
def test_nothing_but_the_masks_and_no_invisible_mask(case: Case) -> None:
    annotation = fields(*case)
    assert not check({name: annotation[name] for name in MASKS}).counts
    del annotation["invisible_mask"]
    assert not check(annotation).counts


# How to spoil a field of an annotation: a value beside the right one, and the code of the finding.
SPOILS = {
    "bbox": "box-wrong",
    "bbox_visible": "box-wrong",
    "area": "area-wrong",
    "area_visible": "area-wrong",
    "occlude_rate": "rate-wrong",
    "invisible_mask": "invisible-wrong",
}


@settings(max_examples=150)
@given(
    st.lists(amodal_and_visible(), min_size=1, max_size=4),
    st.sampled_from(sorted(SPOILS)),
    st.data(),
)
def test_exactly_the_spoiled_field_is_found(
    cases: list[Case], name: str, data: st.DataObject
) -> None:
    annotations = [fields(*case) for case in cases]
    chosen = data.draw(st.integers(0, len(cases) - 1))
    annotation = annotations[chosen]
    if name.startswith("bbox"):
        side = data.draw(st.integers(0, 3))
        # Smaller or moved inwards, so that the box does not leave the image.
        annotation[name][side] += data.draw(st.sampled_from([-0.25, -1e-3]))
        if side < 2:
            annotation[name][side + 2] = max(0.0, annotation[name][side + 2] - 1)
            annotation[name][side] = max(0.0, annotation[name][side])
    elif name.startswith("area"):
        annotation[name] += data.draw(st.sampled_from([1, -1, 0.5]))
    elif name == "occlude_rate":
        annotation[name] += data.draw(st.sampled_from([1e-5, -1e-5, 1.0]))
    else:
        pixel = tuple(data.draw(st.integers(0, side - 1)) for side in cases[chosen][0].shape)
        wrong = cases[chosen][0] & ~cases[chosen][1]
        wrong[pixel] = ~wrong[pixel]
        annotation[name] = rle(wrong)
    found = check(*annotations)
    assert dict(found.counts) == {SPOILS[name]: 1}
    (example,) = found.examples[SPOILS[name]]
    assert (example.file, example.item) == ("train.json", f"annotation {chosen}")
    assert example.detail.split()[0] == name


@settings(max_examples=60)
@given(amodal_and_visible(), st.data())
def test_a_visible_pixel_outside_is_found(case: Case, data: st.DataObject) -> None:
    amodal, visible = case
    free = np.argwhere(~amodal)
    assume(len(free) > 0)
    visible[tuple(free[data.draw(st.integers(0, len(free) - 1))])] = True
    for invisible in (rle(amodal & ~visible), None):
        annotation = fields(amodal, visible) | {"invisible_mask": invisible}
        # With as many visible as amodal pixels, or more, the rate would be out of range as well.
        annotation["occlude_rate"] = None
        found = check(annotation)
        assert dict(found.counts) == {"visible-outside": 1}
        assert found.pixels == {"visible-outside": 1}


@settings(max_examples=60)
@given(
    amodal_and_visible(),
    st.sampled_from(["segmentation", "visible_mask", "invisible_mask"]),
    st.data(),
)
def test_counts_that_do_not_fill_the_mask(case: Case, name: str, data: st.DataObject) -> None:
    """Such masks never reach pycocotools, which may not come back from them."""
    annotation = fields(*case)
    before = coco_mask.decode(annotation[name])
    counts = annotation[name]["counts"]
    change = data.draw(st.sampled_from(["cut", "longer", "garbage", "size"]))
    if change == "size":
        annotation[name]["size"] = [side + 1 for side in annotation[name]["size"]]
    else:
        annotation[name]["counts"] = {
            "cut": counts[:-1],
            "longer": counts + "1",
            "garbage": counts + "é~",
        }[change]
    found = check(annotation)
    code = "invisible-wrong" if name == "invisible_mask" else "rle-bad"
    # A last number cut to nothing may be a zero, without which the mask is as whole as before.
    if change == "cut" and not found.counts:
        assert np.array_equal(coco_mask.decode(annotation[name]), before)
    else:
        assert found.counts[code] == 1
        assert found.examples[code][0].detail.find(name) >= 0


@given(st.text(max_size=20), st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_garbage_counts_are_survived(counts: str, height: int, width: int) -> None:
    garbage = {"size": [height, width], "counts": counts.encode("utf-8", "replace").decode()}
    found = check({"segmentation": garbage, "visible_mask": garbage, "invisible_mask": garbage})
    assert found.counts.keys() <= {"rle-bad", "invisible-wrong", "mask-empty", "visible-empty"}


def test_codes_that_are_not_minimal() -> None:
    """A mask has many codes: that of the union tells that all is well only if it is equal."""
    annotation = fields(np.ones((2, 3), bool), np.array([[1, 1, 0], [1, 1, 0]], bool))
    # Runs of 0, 2, 0, 4 pixels in place of 0, 6; the third number is written as such, the fourth as
    # a difference.
    annotation["segmentation"]["counts"] = "0202"
    assert coco_mask.area(annotation["segmentation"] | {"counts": b"0202"}) == 6
    assert not check(annotation).counts
    annotation["invisible_mask"] = rle(np.array([[0, 1, 0], [0, 0, 1]], bool))
    assert dict(check(annotation).counts) == {"invisible-wrong": 1}


def test_without_comparison_only_what_is_written_counts() -> None:
    annotation = fields(np.ones((4, 4), bool), np.eye(4, dtype=bool))
    annotation |= {"bbox": [0, 0, 1, 1], "invisible_mask": annotation["visible_mask"]}
    assert not check(annotation, compare=False).counts
    assert dict(check(annotation | {"area": 17}, compare=False).counts) == {"rate-wrong": 1}
    assert dict(check(annotation | {"bbox": [0, 0, 5, 1]}, compare=False).counts) == {
        "box-outside": 1
    }


@pytest.mark.parametrize("name", [*VALUES, *MASKS])
def test_what_is_missing_is_passed_over(name: str) -> None:
    annotation = fields(np.ones((4, 4), bool), np.eye(4, dtype=bool))
    assert not check(annotation | {name: None}).counts


def test_the_most_pixels_outside_are_told() -> None:
    found, other = Findings(), Findings()
    found.add("visible-outside", "a.json", "annotation 1", "by 3 pixels", 3)
    other.add("visible-outside", "b.json", "annotation 2", "by 12 pixels", 12)
    other.add("mask-empty", "b.json", "annotation 3")
    found.merge(other)
    told = "2 visible masks extend beyond the amodal masks by up to 12 pixels; correct them, or"
    assert any(told in line for line in found.lines())
    noted = {item["code"]: item.get("pixels") for item in found.report()}
    assert noted == {"visible-outside": 12, "mask-empty": None}
