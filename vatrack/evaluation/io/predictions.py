"""Predictions (contract 2) as columns, every record checked.

A track whose detections have different categories is accepted: each detection counts with its own
category in its image and in the tracking figures, and the track as a whole has the category of its
first detection (quirk E8); such tracks are counted. An empty file is a valid prediction of nothing.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.rle import Floats, Ints, measure
from vatrack.evaluation.io.checks import (
    LARGEST,
    is_box,
    is_integer,
    is_number,
    mask_counts,
    mask_problem,
)
from vatrack.evaluation.io.ground_truth import KINDS, Images
from vatrack.evaluation.io.records import RecordError, open_records

BATCH = 2048  # records whose form is checked together
LARGEST_SCORE = 3e38  # scores of tracks are summed as float32 values


@dataclass(frozen=True)
class Predictions:
    """N detections in file order.

    `image` [N]: index into `Images`; `category`, `score`, `track` [N]; for each kind of mask: `box`
    [N, 4] (x, y, width, height in pixels, as given), `counts` (N compressed strings, None where the
    detection has no such mask) and `area` [N], the mask's pixels.
    """

    image: Ints
    category: Ints
    score: Floats
    track: Ints
    box: Mapping[str, Floats]
    counts: Mapping[str, Sequence[bytes | None]]
    area: Mapping[str, Ints]

    def box_area(self, kind: str) -> Floats:
        """Areas [N] of the boxes: plain products, as in the original, also of negative widths (a
        box turned inside out)."""
        with np.errstate(over="ignore"):
            return self.box[kind][:, 2] * self.box[kind][:, 3]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of mask that at least one detection has; both where there is no detection at
        all."""
        present = tuple(
            kind for kind in KINDS if any(text is not None for text in self.counts[kind])
        )
        return present if len(self.image) else KINDS


@dataclass
class _Columns:
    """Values while reading, compact; `place` is the line or item number of each record, `size` has
    two entries a mask."""

    place: array[int] = field(default_factory=lambda: array("q"))
    image: array[int] = field(default_factory=lambda: array("q"))
    category: array[int] = field(default_factory=lambda: array("q"))
    track: array[int] = field(default_factory=lambda: array("q"))
    score: array[float] = field(default_factory=lambda: array("d"))
    box: dict[str, array[float]] = field(
        default_factory=lambda: {kind: array("d") for kind in KINDS}
    )
    counts: dict[str, list[bytes | None]] = field(
        default_factory=lambda: {kind: [] for kind in KINDS}
    )
    size: dict[str, array[int]] = field(
        default_factory=lambda: {kind: array("q") for kind in KINDS}
    )


def read_predictions(path: Path | str, images: Images) -> Predictions:
    """Reads and checks a whole file of predictions; the file is streamed, only its columns are
    kept.

    Raises:
        InputError: the file is missing or cut off, or a record is wrong (`parse_predictions`); the
            message has the line number, or the item number in a JSON array.
    """
    with open_records(Path(path)) as records:
        return parse_predictions(
            ((record.number, record.value) for record in records), images, records.unit
        )


def parse_predictions(
    records: Iterable[tuple[int, Any]], images: Images, unit: str = "prediction"
) -> Predictions:
    """Turns numbered records of contract 2 into columns.

    Args:
        records: pairs of a number, for messages, and a parsed object.
        images: the images of the ground truth.
        unit: what the number counts.

    Raises:
        RecordError: a record is wrong; of several the first one is named.
    """
    columns = _Columns()
    wrong_form: RecordError | None = None
    remaining = iter(records)
    while wrong_form is None:
        batch = []
        try:
            # One by one, because those before a record that is not JSON are wanted.
            for record in islice(remaining, BATCH):
                batch.append(record)  # noqa: PERF402
        except RecordError as error:
            wrong_form = error
        if not batch:
            break
        if not _append_all(columns, batch):
            problems = ((place, _append(columns, place, record)) for place, record in batch)
            first = next(((place, problem) for place, problem in problems if problem), None)
            wrong_form = RecordError(unit, *first) if first else wrong_form

    found: list[tuple[int, str]] = []  # row, problem

    def refuse(wrong: np.ndarray, message: str) -> None:
        found.extend((int(row), message) for row in np.flatnonzero(wrong)[:1])

    ids, category, track = (
        np.array(values, np.int64) for values in (columns.image, columns.category, columns.track)
    )
    image = images.index(ids)
    unknown = image < 0
    refuse(unknown, unknown_image(_first(ids, unknown)))
    unknown = ~np.isin(category, images.categories)
    refuse(
        unknown,
        f"unknown category_id {_first(category, unknown)}; ids are those of the ground truth, from "
        f"1",
    )
    large = np.abs(np.array(columns.score, np.float64)) > LARGEST_SCORE
    refuse(large, f"'score' is larger than {LARGEST_SCORE:g}")
    order = np.lexsort((track, ids))
    repeated = np.zeros(len(order), bool)
    repeated[order[1:]] = (np.diff(ids[order]) == 0) & (np.diff(track[order]) == 0)
    refuse(
        repeated,
        f"track_id {_first(track, repeated)} occurs twice in image {_first(ids, repeated)}",
    )

    area: dict[str, Ints] = {}
    for kind in KINDS:
        counts = columns.counts[kind]
        rows = np.array([row for row, text in enumerate(counts) if text is not None], np.int64)
        size = np.array(columns.size[kind], np.int64).reshape(-1, 2)
        pixels, totals = measure([text for text in counts if text is not None])
        wrong = np.zeros((2, len(counts)), bool)
        known = image[rows] >= 0
        wrong[0, rows[known]] = (size[known] != images.size[image[rows[known]]]).any(1)
        wrong[1, rows] = totals != size.prod(1)
        refuse(wrong[0], f"the {kind} mask has another size than its image (height, width)")
        refuse(wrong[1], f"the {kind} mask is damaged: its runs do not fill the image")
        area[kind] = np.zeros(len(counts), np.int64)
        area[kind][rows] = pixels
    if found:
        row, problem = min(found, key=lambda entry: entry[0])
        raise RecordError(unit, columns.place[row], problem)
    if wrong_form:
        raise wrong_form
    box = {
        kind: np.array(values, np.float64).reshape(-1, 4) for kind, values in columns.box.items()
    }
    return Predictions(
        image, category, np.array(columns.score, np.float64), track, box, columns.counts, area
    )


def image_of(record: Any) -> tuple[int, None] | tuple[None, str]:
    """The image id of a record, or what is wrong with it."""
    if not isinstance(record, Mapping):
        return None, "is not a JSON object"
    if "image_id" not in record:
        return None, "has no 'image_id'"
    if not is_integer(record["image_id"]):
        return None, "'image_id' must be an integer"
    return record["image_id"], None


def unknown_image(image_id: int | None) -> str:
    """The message for a record of an image that is not listed."""
    return f"unknown image_id {image_id}; the predictions belong to another ground truth"


def _append_all(columns: _Columns, batch: Sequence[tuple[int, Any]]) -> bool:
    """Adds records that all have the usual form, as fast as it goes; False, and nothing is added,
    if some may not have it."""
    try:
        records = [record for _, record in batch]
        whole = {
            key: [record[key] for record in records]
            for key in ("image_id", "category_id", "track_id")
        }
        score = [record["score"] for record in records]
        boxes = {"amodal": [record["bbox"] for record in records]}
        seconds = [record.get("bbox_visible") for record in records]
        boxes["visible"] = [
            first if second is None else second
            for first, second in zip(boxes["amodal"], seconds, strict=True)
        ]
        masks = {kind: [record.get(kind) for record in records] for kind in KINDS}
        present = {kind: [mask for mask in masks[kind] if mask is not None] for kind in KINDS}
        sizes = {kind: [mask["size"] for mask in present[kind]] for kind in KINDS}
        texts = {
            kind: [None if mask is None else mask["counts"] for mask in masks[kind]]
            for kind in KINDS
        }
        counts = {
            kind: [text if text is None else text.encode("ascii") for text in texts[kind]]
            for kind in KINDS
        }
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        return False
    if any(
        first is None and second is None
        for first, second in zip(masks["amodal"], masks["visible"], strict=True)
    ):
        return False
    corners = {
        kind: list(chain.from_iterable(boxes[kind])) if _lists(boxes[kind], 4) else None
        for kind in KINDS
    }
    edges = {
        kind: list(chain.from_iterable(sizes[kind])) if _lists(sizes[kind], 2) else None
        for kind in KINDS
    }
    values = [score, *corners.values()]
    if any(column is None or not _finite(column) for column in values):
        return False
    if any(column is None or not _whole(column) for column in (*whole.values(), *edges.values())):
        return False
    columns.place.extend(place for place, _ in batch)
    columns.image.extend(whole["image_id"])
    columns.category.extend(whole["category_id"])
    columns.track.extend(whole["track_id"])
    columns.score.extend(score)
    for kind in KINDS:
        columns.box[kind].extend(corners[kind] or ())
        columns.counts[kind].extend(counts[kind])
        columns.size[kind].extend(edges[kind] or ())
    return True


def _lists(values: Sequence[Any], length: int) -> bool:
    return set(map(type, values)) <= {list} and set(map(len, values)) <= {length}


def _whole(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {int} and max(map(abs, values), default=0) < 2**63


def _finite(values: Sequence[Any]) -> bool:
    # NaN hides from min and max, but not from a sum.
    kinds = set(map(type, values))
    return (
        kinds <= {int, float}
        and max(map(abs, values), default=0) < LARGEST
        and math.isfinite(sum(values))
    )


def _append(columns: _Columns, place: int, record: Any) -> str | None:
    """Adds one record; returns what is wrong with its form."""
    if not isinstance(record, Mapping):
        return "is not a JSON object"
    for key in ("image_id", "category_id", "score", "bbox", "track_id"):
        if key not in record:
            return f"has no '{key}'"
    for key in ("image_id", "category_id", "track_id"):
        if not is_integer(record[key]):
            return f"'{key}' must be an integer"
    if not is_number(record["score"]):
        return "'score' must be a finite number"
    boxes = {"amodal": record["bbox"], "visible": record.get("bbox_visible")}
    if boxes["visible"] is None:
        boxes["visible"] = boxes["amodal"]
    if not all(map(is_box, boxes.values())):
        return "a box must be [x, y, width, height], four finite numbers"
    masks = {kind: record.get(kind) for kind in KINDS}
    if all(mask is None for mask in masks.values()):
        return "has neither an 'amodal' nor a 'visible' mask"
    for kind, mask in masks.items():
        if mask is not None and (problem := mask_problem(mask)):
            return f"the {kind} mask {problem}"
    columns.place.append(place)
    columns.image.append(record["image_id"])
    columns.category.append(record["category_id"])
    columns.track.append(record["track_id"])
    columns.score.append(record["score"])
    for kind, mask in masks.items():
        columns.box[kind].extend(boxes[kind])
        columns.counts[kind].append(None if mask is None else mask_counts(mask))
        if mask is not None:
            columns.size[kind].extend(mask["size"])
    return None


def _first(values: Ints, wrong: np.ndarray) -> int | None:
    rows = np.flatnonzero(wrong)
    return int(values[rows[0]]) if len(rows) else None
