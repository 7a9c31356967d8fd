"""Reads predictions (contract 2): JSON Lines or one JSON array, plain or gzipped, into columns, and checks every line.

A track whose detections have different categories is accepted: each detection counts with its own category in its image and
in the tracking figures, and the track as a whole has the category of its first detection (quirk E8). An empty file is a
valid prediction of nothing.
"""

from __future__ import annotations

import json
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from vatrack.errors import InputError
from vatrack.evaluation.checks import is_box, is_integer, is_number, mask_counts, mask_problem
from vatrack.evaluation.ground_truth import KINDS, Images
from vatrack.files import open_text
from vatrack.rle import Floats, Ints, measure

BLOCK = 1 << 20  # characters read at once from a JSON array
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Predictions:
    """N detections in file order.

    `image` [N]: index into `Images`; `category`, `score`, `track` [N]; for each kind of mask: `box` [N, 4] (x, y, width,
    height in pixels, as given), `counts` (N compressed strings, None where the detection has no such mask) and `area` [N],
    the mask's pixels.
    """

    image: Ints
    category: Ints
    score: Floats
    track: Ints
    box: Mapping[str, Floats]
    counts: Mapping[str, Sequence[bytes | None]]
    area: Mapping[str, Ints]

    def box_area(self, kind: str) -> Floats:
        """Areas [N] of the boxes: plain products, as in the original, also of negative widths (a box turned inside out)."""
        with np.errstate(over="ignore"):
            return self.box[kind][:, 2] * self.box[kind][:, 3]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of mask that at least one detection has; both where there is no detection at all."""
        present = tuple(kind for kind in KINDS if any(text is not None for text in self.counts[kind]))
        return present if len(self.image) else KINDS


@dataclass
class _Columns:
    """Values while reading, compact; `place` is the line or item number of each record, `size` has two entries a mask."""

    place: array[int] = field(default_factory=lambda: array("q"))
    image: array[int] = field(default_factory=lambda: array("q"))
    category: array[int] = field(default_factory=lambda: array("q"))
    track: array[int] = field(default_factory=lambda: array("q"))
    score: array[float] = field(default_factory=lambda: array("d"))
    box: dict[str, array[float]] = field(default_factory=lambda: {kind: array("d") for kind in KINDS})
    counts: dict[str, list[bytes | None]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    size: dict[str, array[int]] = field(default_factory=lambda: {kind: array("q") for kind in KINDS})


def read_predictions(path: Path | str, images: Images) -> Predictions:
    """Reads and checks a file of predictions; the file is streamed, only its columns are kept.

    Raises:
        InputError: the file is missing or cut off, or a line is wrong (unknown image or category, mask of another size,
            score that is not finite, track id twice in an image, ...); the message has the line number, or the item number
            in a JSON array.
    """
    path = Path(path)
    try:
        with open_text(path) as stream:
            head = [stream.readline()]
            while head[-1] and not head[-1].strip():
                head.append(stream.readline())
            if head[-1].lstrip().startswith("["):
                return parse_predictions(_array_items(head[-1], stream, path), images, f"{path}: item")
            return parse_predictions(_lines(chain(head, stream), path), images, f"{path}: line")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); make the predictions again") from None


def parse_predictions(records: Iterable[tuple[int, Any]], images: Images, where: str = "prediction") -> Predictions:
    """Turns numbered records of contract 2 into columns.

    Args:
        records: pairs of a number, for messages, and a parsed object.
        images: the images of the ground truth.
        where: what the number counts.

    Raises:
        InputError: a record is wrong.
    """
    columns = _Columns()
    for place, record in records:
        problem = _append(columns, place, record)
        if problem:
            raise InputError(f"{where} {place}: {problem}")

    def refuse(wrong: Any, message: str) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            raise InputError(f"{where} {columns.place[rows[0]]}: {message}")

    ids, category, track = (np.array(values, np.int64) for values in (columns.image, columns.category, columns.track))
    image = images.index(ids)
    unknown = image < 0
    refuse(unknown, f"unknown image_id {_first(ids, unknown)}; the predictions belong to another ground truth")
    unknown = ~np.isin(category, images.categories)
    refuse(unknown, f"unknown category_id {_first(category, unknown)}; ids are those of the ground truth, from 1")
    order = np.lexsort((track, image))
    repeated = np.zeros(len(order), bool)
    repeated[order[1:]] = (np.diff(image[order]) == 0) & (np.diff(track[order]) == 0)
    refuse(repeated, f"track_id {_first(track, repeated)} occurs twice in image {_first(ids, repeated)}")

    area: dict[str, Ints] = {}
    for kind in KINDS:
        counts = columns.counts[kind]
        rows = np.array([row for row, text in enumerate(counts) if text is not None], np.int64)
        size = np.array(columns.size[kind], np.int64).reshape(-1, 2)
        wrong = np.zeros(len(counts), bool)
        wrong[rows] = (size != images.size[image[rows]]).any(1)
        refuse(wrong, f"the {kind} mask has another size than its image (height, width)")
        pixels, totals = measure([text for text in counts if text is not None])
        wrong[rows] = totals != size.prod(1)
        refuse(wrong, f"the {kind} mask is damaged: its runs do not fill the image")
        area[kind] = np.zeros(len(counts), np.int64)
        area[kind][rows] = pixels
    box = {kind: np.array(values, np.float64).reshape(-1, 4) for kind, values in columns.box.items()}
    return Predictions(image, category, np.array(columns.score, np.float64), track, box, columns.counts, area)


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


def _lines(lines: Iterable[str], path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                cause = f"not valid JSON ({error.msg})" if line.endswith("\n") else "the file is cut off here"
                raise InputError(f"{path}: line {number}: {cause}; make the predictions again") from None


def _array_items(text: str, stream: IO[str], path: Path) -> Iterator[tuple[int, Any]]:
    """Items of a JSON array, parsed one by one, so that the array is never in memory as a whole."""
    decoder = json.JSONDecoder()
    position, number, item_may_follow = text.index("[") + 1, 0, True
    while True:
        position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
        mark = text[position : position + 1]
        if mark == "]" and (not item_may_follow or not number):
            if (text[position + 1 :] + stream.read()).strip():
                raise InputError(f"{path}: there is text after the end of the JSON array; make the predictions again")
            return
        if mark == "," and not item_may_follow:
            position, item_may_follow = position + 1, True
            continue
        if mark and item_may_follow:
            try:
                value, position = decoder.raw_decode(text, position)
            except json.JSONDecodeError:
                pass  # perhaps the text that has been read ends within this item
            else:
                number, item_may_follow = number + 1, False
                yield number, value
                continue
        # Reading at least as much as is left keeps the work linear, however long an item is.
        more = stream.read(max(BLOCK, len(text) - position))
        if not more:
            raise InputError(f"{path}: item {number + 1}: not valid JSON or cut off; make the predictions again")
        text, position = text[position:] + more, 0
