"""The form of predictions (contract 2): each is checked while it becomes a row of columns."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from vatrack.common.mask_forms import MaskError, compress, form_problem
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.data.fields import LARGEST, LIMIT, is_number, problem, shown
from vatrack.evaluation.io.ground_truth import Images


@dataclass
class Columns:
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


def append_all(columns: Columns, batch: Sequence[tuple[int, Any]]) -> bool:
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
    # A mask with "counts": null is not the same as no mask.
    if any(len(present[key]) != len(counts[key]) - counts[key].count(None) for key in MASK_TYPES):
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


def append(columns: Columns, number: int, prediction: Any, images: Images) -> str | None:
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
            return f"box {shown(box)} must be four finite numbers [x, y, width, height]"
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
