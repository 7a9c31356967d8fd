"""Checks masks of annotations, and areas, boxes and occlusion rates against them (spec 1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from vatrack.common.counted import counted
from vatrack.common.mask_forms import pixels_outside
from vatrack.common.rle import Bools, Floats, Ints, canonical
from vatrack.sailvos.official import BOXES
from vatrack.validate.findings import Findings

Code = dict[str, Any]

TOLERANCE = 1e-6
NO_BOX = [np.nan] * 4


class Rle(NamedTuple):
    """A compressed run-length code of the right form, whose counts may be garbage."""

    height: int
    width: int
    counts: str


class Row(NamedTuple):
    """The values of an annotation; None for what is missing or was found broken before."""

    item: str
    bbox: list[float] | None
    bbox_visible: list[float] | None
    area: float | None
    area_visible: float | None
    occlude_rate: float | None
    amodal: Rle | None
    visible: Rle | None
    invisible: Rle | None


class Masks:
    """The masks of one field of N annotations.

    Attributes:
        field: name of the field.
        sizes: float64 [N, 2], height and width, NaN where there is no mask.
        codes: what pycocotools takes.
        areas: int64 [N], foreground pixels.
        there, sound: bool [N]: there is a mask; its counts are a run-length code that fills its
            size. An unsound one must not reach pycocotools.
    """

    def __init__(self, field: str, masks: Sequence[Rle | None]) -> None:
        self.field = field
        texts, self.areas, self.totals = canonical(
            [mask.counts.encode() if mask else b"" for mask in masks]
        )
        self.codes: list[Code] = [
            {"size": [mask.height, mask.width] if mask else [0, 0], "counts": text}
            for mask, text in zip(masks, texts, strict=True)
        ]
        sizes = [(mask.height, mask.width) if mask else (np.nan, np.nan) for mask in masks]
        self.sizes = np.array(sizes, np.float64).reshape(-1, 2)
        self.there = np.array([mask is not None for mask in masks], bool)
        self.sound = self.there & (self.totals == self.sizes.prod(axis=1))

    def boxes(self) -> Floats:
        """Tight boxes [N, 4] as x, y, width, height in pixels, NaN where a mask is not sound."""
        found = np.full((len(self.codes), 4), np.nan)
        codes = [code for code, sound in zip(self.codes, self.sound.tolist(), strict=True) if sound]
        if codes:
            found[self.sound] = coco_mask.toBbox(codes)
        return found

    def fault(self, row: int) -> str:
        """What is wrong with an unsound mask."""
        if self.totals[row] < 0:
            return f"the counts of {self.field} are invalid"
        height, width = self.sizes[row].astype(int)
        pixels = counted(int(self.totals[row]), "pixel")
        return f"{self.field} has {pixels} instead of {height} x {width}"


def check_masks(rows: Sequence[Row], shared: tuple[str, bool]) -> Findings:
    """Checks the fields of annotations with each other.

    Always: run-length codes are sound, boxes lie inside the image, the occlusion rate fits the
    areas that are written.

    Args:
        shared: the annotation file, for the findings; whether boxes, areas and rates are compared
            with the masks, and the masks with each other.
    """
    file, compare = shared
    batch = _Batch(file, rows)
    batch.check_codes()
    batch.check_boxes(compare)
    batch.check_areas(compare)
    if compare:
        batch.check_overlaps()
    return batch.found


class _Batch:
    def __init__(self, file: str, rows: Sequence[Row]) -> None:
        self.file, self.rows, self.found = file, rows, Findings()
        self.amodal = Masks("segmentation", [row.amodal for row in rows])
        self.visible = Masks("visible_mask", [row.visible for row in rows])
        self.invisible = Masks("invisible_mask", [row.invisible for row in rows])

    def add(self, code: str, bad: Bools, detail: str, *values: Floats) -> None:
        """A finding for each bad row; `detail` is filled in with the row of each of `values`."""
        for row in np.flatnonzero(bad).tolist():
            text = detail.format(*(_plain(column[row]) for column in values))
            self.found.add(code, self.file, self.rows[row].item, text)

    def column(self, name: str) -> Floats:
        """A field of numbers, NaN where there is none."""
        return np.array([getattr(row, name) for row in self.rows], np.float64)

    def check_codes(self) -> None:
        for code, masks in (
            ("rle-bad", self.amodal),
            ("rle-bad", self.visible),
            ("invisible-wrong", self.invisible),
        ):
            for row in np.flatnonzero(masks.there & ~masks.sound).tolist():
                self.found.add(code, self.file, self.rows[row].item, masks.fault(row))
        for code, masks in (("mask-empty", self.amodal), ("visible-empty", self.visible)):
            self.add(code, masks.sound & (masks.areas == 0), f"{masks.field} is empty")

    def check_boxes(self, compare: bool) -> None:
        for name, masks in zip(BOXES, (self.amodal, self.visible), strict=True):
            listed = [getattr(row, name) or NO_BOX for row in self.rows]
            boxes = np.array(listed, np.float64).reshape(-1, 4)
            limits = masks.sizes[:, ::-1]
            corners = boxes[:, :2] + boxes[:, 2:]
            outside = np.any((boxes[:, :2] < -TOLERANCE) | (corners > limits + TOLERANCE), axis=1)
            self.add("box-outside", outside, f"{name} is {{}}, the image {{}}", boxes, limits)
            if compare:
                tight = masks.boxes()
                far = (np.abs(boxes - tight) > TOLERANCE).any(axis=1)
                text = f"{name} is {{}}, that of {masks.field} is {{}}"
                self.add("box-wrong", far & (masks.areas > 0) & ~outside, text, boxes, tight)

    def check_areas(self, compare: bool) -> None:
        areas = []
        for name, masks in (("area", self.amodal), ("area_visible", self.visible)):
            written = self.column(name)
            if compare:
                measured = np.where(masks.sound, masks.areas, np.nan)
                wrong = np.abs(written - measured) > TOLERANCE
                text = f"{name} is {{}}, that of {masks.field} is {{}}"
                self.add("area-wrong", wrong, text, written, measured)
                written = np.where(masks.sound, measured, written)
            areas.append(written)
        rates = self.column("occlude_rate")
        expected = 1 - areas[1] / np.where(areas[0] > 0, areas[0], np.nan)
        wrong = (np.abs(rates - expected) > TOLERANCE) | (rates > 1 + TOLERANCE)
        text = "occlude_rate is {}, 1 - visible / amodal area is {}"
        self.add("rate-wrong", wrong, text, rates, expected)

    def check_overlaps(self) -> None:
        complete = _complete(self.amodal, self.visible, self.invisible)
        pixels = _outside(self.visible, self.amodal, known=complete)
        outside = pixels > 0
        for row in np.flatnonzero(outside).tolist():
            number = int(pixels[row])
            text = f"visible_mask extends beyond segmentation by {counted(number, 'pixel')}"
            self.found.add("visible-outside", self.file, self.rows[row].item, text, number)
        rest = _is_rest(self.invisible, self.amodal, self.visible, known=complete | outside)
        self.add("invisible-wrong", ~rest, "invisible_mask is not segmentation minus visible_mask")


def _comparable(*fields: Masks) -> Bools:
    """Where all fields have sound masks of one size."""
    same = [(field.sizes == fields[0].sizes).all(axis=1) & field.sound for field in fields]
    return np.logical_and.reduce(same)


def _complete(whole: Masks, inner: Masks, rest: Masks) -> Bools:
    """Whether `inner` and `rest` plainly make up `whole`: their union has its very code.

    Almost all annotations need no other comparison. False tells nothing: codes of one mask may
    differ.
    """
    good = _comparable(whole, inner, rest) & (inner.areas + rest.areas == whole.areas)
    for row in np.flatnonzero(good).tolist():
        good[row] = _union(inner, rest, row=row)["counts"] == whole.codes[row]["counts"]
    return good


def _outside(inner: Masks, outer: Masks, known: Bools) -> Ints:
    """How many pixels of `inner` are not in `outer`.

    0 where it is known that there are none, or where it cannot be told.
    """
    pixels = np.zeros(len(known), np.int64)
    for row in np.flatnonzero(_comparable(inner, outer) & (inner.areas > 0) & ~known).tolist():
        pixels[row] = pixels_outside(inner.codes[row], outer.codes[row], outer.areas[row])
    return pixels


def _is_rest(rest: Masks, whole: Masks, inner: Masks, known: Bools) -> Bools:
    """Whether `rest` is `whole` without `inner`, which lies inside it.

    True where it is known, or cannot be told.

    Masks are disjoint if their union has as many pixels as both together, and inside a third one if
    that does not grow.
    """
    there = _comparable(rest, whole, inner) & ~known
    good = ~there | (rest.areas + inner.areas == whole.areas)
    for row in np.flatnonzero(there & good).tolist():
        unions = (_union(rest, other, row=row) for other in (inner, whole))
        good[row] = all(coco_mask.area(union) == whole.areas[row] for union in unions)
    return good


def _union(*fields: Masks, row: int) -> Code:
    return coco_mask.merge([field.codes[row] for field in fields])


def _plain(value: object) -> object:
    """A number or list of numbers as people write it: 8 and not 8.0."""
    if isinstance(value, np.ndarray):
        return "[" + ", ".join(str(_plain(number)) for number in value) + "]"
    return f"{float(value):.9g}" if isinstance(value, float | np.floating) else value
