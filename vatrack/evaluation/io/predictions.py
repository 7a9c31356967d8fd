"""Predictions (contract 2) as columns, every prediction checked.

A track whose detections have different categories is accepted: each detection counts with its own
category in its image and in the tracking metrics, and the track as a whole has the category of its
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

from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import Floats, Ints, MaskError, canonical, compress, form_problem
from vatrack.data.fields import LARGEST, LIMIT, damage, is_number, problem, shown
from vatrack.evaluation.io.ground_truth import Images
from vatrack.evaluation.io.prediction_file import PredictionError, open_predictions

BATCH = 2048  # predictions whose form is checked together
LARGEST_SCORE = 3e38  # scores of tracks are summed as float32 values
# Share of an image's side by which a box may be turned inside out. The round-off of a detector
# makes such boxes, and they count as in the original; what is beyond is no box.
INSIDE_OUT = 0.01


@dataclass(frozen=True)
class Predictions:
    """N detections in file order.

    `image`, `category` [N]: indices into `Images`; `score`, `track` [N]; for each mask type: `box`
    [N, 4] (x, y, width, height in pixels, as given), `counts` (N compressed strings, None where the
    detection has no such mask), canonical, and `area` [N], the mask's pixels.
    """

    image: Ints
    category: Ints
    score: Floats
    track: Ints
    box: Mapping[MaskType, Floats]
    counts: Mapping[MaskType, Sequence[bytes | None]]
    area: Mapping[MaskType, Ints]

    def box_area(self, mask_type: MaskType) -> Floats:
        """Areas [N] of the boxes: plain products, as in the original, also of negative widths (a
        box turned inside out)."""
        with np.errstate(over="ignore"):
            return self.box[mask_type][:, 2] * self.box[mask_type][:, 3]

    @property
    def mask_types(self) -> tuple[MaskType, ...]:
        """Mask types that at least one detection has; both where there is no detection at
        all."""
        present = tuple(
            mask_type
            for mask_type in MASK_TYPES
            if any(text is not None for text in self.counts[mask_type])
        )
        return present if len(self.image) else MASK_TYPES


@dataclass
class _Columns:
    """Values while reading, compact.

    `number`: the line or item number of each prediction; `size` has two numbers a mask.
    """

    number: array[int] = field(default_factory=lambda: array("q"))
    image: array[int] = field(default_factory=lambda: array("q"))
    category: array[int] = field(default_factory=lambda: array("q"))
    track: array[int] = field(default_factory=lambda: array("q"))
    score: array[float] = field(default_factory=lambda: array("d"))
    box: dict[MaskType, array[float]] = field(
        default_factory=lambda: {mask_type: array("d") for mask_type in MASK_TYPES}
    )
    counts: dict[MaskType, list[bytes | None]] = field(
        default_factory=lambda: {mask_type: [] for mask_type in MASK_TYPES}
    )
    size: dict[MaskType, array[int]] = field(
        default_factory=lambda: {mask_type: array("q") for mask_type in MASK_TYPES}
    )


def read_predictions(path: Path | str, images: Images) -> Predictions:
    """Reads and checks a whole file of predictions; the file is streamed, only its columns are
    kept.

    Raises:
        InputError: the file is missing or cut off, or a prediction is wrong; the message
            has the line number, or the item number in a JSON array.
    """
    with open_predictions(Path(path)) as predictions:
        return parse_predictions(
            ((prediction.number, prediction.value) for prediction in predictions),
            images,
            predictions.label,
        )


def parse_predictions(
    predictions: Iterable[tuple[int, Any]], images: Images, label: str = "prediction"
) -> Predictions:
    """Turns numbered predictions of contract 2 into columns.

    Args:
        predictions: pairs of a number, for messages, and a parsed object.
        images: the images of the ground truth.
        label: what the number counts.

    Raises:
        PredictionError: a prediction is wrong; of several the first one is named.
    """
    columns = _Columns()
    wrong_form: PredictionError | None = None
    remaining = iter(predictions)
    while wrong_form is None:
        batch = []
        try:
            # One by one, because those before a prediction that is not JSON are wanted.
            for prediction in islice(remaining, BATCH):
                batch.append(prediction)  # noqa: PERF402
        except PredictionError as error:
            wrong_form = error
        if not batch:
            break
        if not _append_all(columns, batch):
            problems = (
                (number, _append(columns, number, prediction, images))
                for number, prediction in batch
            )
            first = next(((number, text) for number, text in problems if text), None)
            wrong_form = PredictionError(label, *first) if first else wrong_form

    found: list[tuple[int, str]] = []  # row, what is wrong

    def refuse(wrong: np.ndarray, message: str) -> None:
        found.extend((int(row), message) for row in np.flatnonzero(wrong)[:1])

    ids, category, track = (
        np.array(values, np.int64) for values in (columns.image, columns.category, columns.track)
    )
    image = images.index(ids)
    unknown = image < 0
    refuse(unknown, unknown_image(_first(ids, unknown)))
    index = images.category_index(category)
    refuse(
        index < 0,
        f"unknown category_id {_first(category, index < 0)}; ids are those of the ground truth, "
        f"from 1",
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

    box = {
        mask_type: np.array(values, np.float64).reshape(-1, 4)
        for mask_type, values in columns.box.items()
    }
    for values in box.values():
        if len(images.id):
            least = -INSIDE_OUT * images.size[image][:, ::-1]
            wrong = (values[:, 2:] < least).any(1) & (image >= 0)
            refuse(wrong, f"the box {_first_box(values, wrong)} has a negative width or height")
    area: dict[MaskType, Ints] = {}
    texts: dict[MaskType, list[bytes | None]] = {}
    for mask_type in MASK_TYPES:
        counts = columns.counts[mask_type]
        rows = np.array([row for row, text in enumerate(counts) if text is not None], np.int64)
        size = np.array(columns.size[mask_type], np.int64).reshape(-1, 2)
        codes, pixels, totals = canonical([text for text in counts if text is not None])
        known = np.flatnonzero(image[rows] >= 0)
        needed = size.copy()
        needed[known] = images.size[image[rows[known]]]
        for at in np.flatnonzero((size != needed).any(1))[:1].tolist():
            own, other = size[at].tolist(), needed[at].tolist()
            message = f"the {mask_type} mask has size {own}, its image {other} (height, width)"
            found.append((int(rows[at]), message))
        for at in np.flatnonzero(totals != size.prod(1))[:1].tolist():
            message = damage(int(totals[at]), size[at].tolist())
            found.append((int(rows[at]), f"the {mask_type} mask {message}"))
        area[mask_type] = np.zeros(len(counts), np.int64)
        area[mask_type][rows] = pixels
        texts[mask_type] = [None] * len(counts)
        for row, code in zip(rows.tolist(), codes, strict=True):
            texts[mask_type][row] = code
    if found:
        row, text = min(found, key=lambda item: item[0])
        raise PredictionError(label, columns.number[row], text)
    if wrong_form:
        raise wrong_form
    score = np.array(columns.score, np.float64)
    return Predictions(image, index, score, track, box, texts, area)


def image_of(prediction: Any) -> tuple[int, None] | tuple[None, str]:
    """The image id of a prediction, or what is wrong with it."""
    if not isinstance(prediction, Mapping):
        return None, "is not a JSON object"
    if "image_id" not in prediction:
        return None, "has no 'image_id'"
    if text := problem("image_id", prediction["image_id"]):
        return None, text
    return prediction["image_id"], None


def unknown_image(image_id: int | None) -> str:
    """The message for a prediction of an image that is not listed."""
    return f"unknown image_id {image_id}; the predictions belong to another ground truth"


def _append_all(columns: _Columns, batch: Sequence[tuple[int, Any]]) -> bool:
    """Adds predictions of the usual form, fast; False, and adds none, if some may not have it."""
    try:
        predictions = [prediction for _, prediction in batch]
        whole = {
            key: [prediction[key] for prediction in predictions]
            for key in ("image_id", "category_id", "track_id")
        }
        score = [prediction["score"] for prediction in predictions]
        boxes = {"amodal": [prediction["bbox"] for prediction in predictions]}
        seconds = [prediction.get("bbox_visible") for prediction in predictions]
        boxes["visible"] = [
            first if second is None else second
            for first, second in zip(boxes["amodal"], seconds, strict=True)
        ]
        masks = {
            mask_type: [prediction.get(mask_type) for prediction in predictions]
            for mask_type in MASK_TYPES
        }
        present = {
            mask_type: [mask for mask in masks[mask_type] if mask is not None]
            for mask_type in MASK_TYPES
        }
        sizes = {
            mask_type: [mask["size"] for mask in present[mask_type]] for mask_type in MASK_TYPES
        }
        texts = {
            mask_type: [None if mask is None else mask["counts"] for mask in masks[mask_type]]
            for mask_type in MASK_TYPES
        }
        counts = {
            mask_type: [text if text is None else text.encode("ascii") for text in texts[mask_type]]
            for mask_type in MASK_TYPES
        }
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        return False
    if any(
        first is None and second is None
        for first, second in zip(masks["amodal"], masks["visible"], strict=True)
    ):
        return False
    corners = {
        mask_type: list(chain.from_iterable(boxes[mask_type]))
        if _lists(boxes[mask_type], 4)
        else None
        for mask_type in MASK_TYPES
    }
    edges = {
        mask_type: list(chain.from_iterable(sizes[mask_type]))
        if _lists(sizes[mask_type], 2)
        else None
        for mask_type in MASK_TYPES
    }
    if not _finite(score, LARGEST):
        return False
    if any(column is None or not _finite(column, LIMIT) for column in corners.values()):
        return False
    if any(column is None or not _whole(column) for column in (*whole.values(), *edges.values())):
        return False
    columns.number.extend(number for number, _ in batch)
    columns.image.extend(whole["image_id"])
    columns.category.extend(whole["category_id"])
    columns.track.extend(whole["track_id"])
    columns.score.extend(score)
    for mask_type in MASK_TYPES:
        columns.box[mask_type].extend(corners[mask_type] or ())
        columns.counts[mask_type].extend(counts[mask_type])
        columns.size[mask_type].extend(edges[mask_type] or ())
    return True


def _lists(values: Sequence[Any], length: int) -> bool:
    return set(map(type, values)) <= {list} and set(map(len, values)) <= {length}


def _whole(values: Sequence[Any]) -> bool:
    return set(map(type, values)) <= {int} and max(map(abs, values), default=0) < LIMIT


def _finite(values: Sequence[Any], limit: float) -> bool:
    # NaN hides from min and max, but not from a sum.
    types = set(map(type, values))
    return (
        types <= {int, float}
        and max(map(abs, values), default=0) < limit
        and math.isfinite(sum(values))
    )


def _append(columns: _Columns, number: int, prediction: Any, images: Images) -> str | None:
    """Adds one prediction of any form; returns what is wrong with its form."""
    if not isinstance(prediction, Mapping):
        return "is not a JSON object"
    for key in ("image_id", "category_id", "score", "bbox", "track_id"):
        if key not in prediction:
            return f"has no '{key}'"
    for key in ("image_id", "category_id", "track_id", "score"):
        if text := problem(key, prediction[key]):
            return text
    boxes = {"amodal": prediction["bbox"], "visible": prediction.get("bbox_visible")}
    if boxes["visible"] is None:
        boxes["visible"] = boxes["amodal"]
    for box in boxes.values():
        if not (isinstance(box, list | tuple) and len(box) == 4 and all(map(is_number, box))):
            return f"a box is {shown(box)}; [x, y, width, height], four finite numbers, are needed"
    masks = {mask_type: prediction.get(mask_type) for mask_type in MASK_TYPES}
    if all(mask is None for mask in masks.values()):
        return "has neither an 'amodal' nor a 'visible' mask"
    row = int(images.index(np.array([prediction["image_id"]]))[0])
    size = tuple(images.size[row].tolist()) if row >= 0 else (0, 0)
    counts: dict[MaskType, bytes | None] = {}
    for mask_type, mask in masks.items():
        if mask is not None and (text := form_problem(mask)):
            return f"the {mask_type} mask {text}"
        try:
            # A mask of an unknown image is never read: the prediction is refused for that.
            counts[mask_type] = compress(mask, size) if mask is not None and row >= 0 else None
        except MaskError as error:
            return f"the {mask_type} mask {error}"
    columns.number.append(number)
    columns.image.append(prediction["image_id"])
    columns.category.append(prediction["category_id"])
    columns.track.append(prediction["track_id"])
    columns.score.append(prediction["score"])
    for mask_type in MASK_TYPES:
        columns.box[mask_type].extend(boxes[mask_type])
        columns.counts[mask_type].append(counts[mask_type])
        if counts[mask_type] is not None:
            columns.size[mask_type].extend(size)
    return None


def _first(values: Ints, wrong: np.ndarray) -> int | None:
    rows = np.flatnonzero(wrong)
    return int(values[rows[0]]) if len(rows) else None


def _first_box(values: Floats, wrong: np.ndarray) -> list[float] | None:
    rows = np.flatnonzero(wrong)
    return values[rows[0]].tolist() if len(rows) else None
