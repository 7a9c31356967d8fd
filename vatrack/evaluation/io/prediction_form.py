"""The form of predictions (contract 2): each is checked while it becomes a row of columns."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vatrack.common.mask_forms import MaskError, compress, form_problem
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import Ints
from vatrack.data.columns import rows_of_numbers, whole_numbers
from vatrack.data.fields import is_number, problem, shown
from vatrack.evaluation.io.ground_truth import Images
from vatrack.evaluation.io.prediction_file import OTHER_TRUTH


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
        return None, "is not a JSON object; write one for each prediction"
    if "image_id" not in prediction:
        return None, "has no 'image_id'; add it"
    if text := problem("image_id", prediction["image_id"]):
        return None, text
    return prediction["image_id"], None


def unknown_image(image_id: int | None) -> str:
    """The message for a prediction of an image that is not listed."""
    return f"unknown image_id {image_id}; {OTHER_TRUTH}"


def append_all(columns: Columns, numbers: Sequence[int], predictions: Sequence[Any]) -> bool:
    """Adds predictions of the usual form, fast; False, and adds none, if some may not have it."""
    number = len(predictions)
    try:
        whole = {
            key: whole_numbers([prediction[key] for prediction in predictions])
            for key in ("image_id", "category_id", "track_id")
        }
        score = rows_of_numbers([[prediction["score"] for prediction in predictions]], number)
        first = [prediction["bbox"] for prediction in predictions]
        second = [prediction.get("bbox_visible") for prediction in predictions]
        masks = {
            mask_type: [prediction.get(mask_type) for prediction in predictions]
            for mask_type in MASK_TYPES
        }
        present = {
            mask_type: [mask for mask in masks[mask_type] if mask is not None]
            for mask_type in MASK_TYPES
        }
        sizes = {
            mask_type: _sizes([mask["size"] for mask in present[mask_type]])
            for mask_type in MASK_TYPES
        }
        counts = {
            mask_type: [mask["counts"].encode("ascii") for mask in present[mask_type]]
            for mask_type in MASK_TYPES
        }
        corners = {"amodal": rows_of_numbers(first, 4)}
        corners["visible"] = corners["amodal"]
        if any(box is not None for box in second):
            boxes = [a if b is None else b for a, b in zip(first, second, strict=True)]
            corners["visible"] = rows_of_numbers(boxes, 4)
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        return False
    if len(present["amodal"]) < number and any(
        amodal is None and visible is None for amodal, visible in zip(*masks.values(), strict=True)
    ):
        return False
    arrays = (score, *whole.values(), *corners.values(), *sizes.values())
    if any(found is None for found in arrays):
        return False
    columns.number.extend(numbers)
    columns.score.frombytes(_bytes(score))
    columns.image.frombytes(_bytes(whole["image_id"]))
    columns.category.frombytes(_bytes(whole["category_id"]))
    columns.track.frombytes(_bytes(whole["track_id"]))
    for mask_type in MASK_TYPES:
        columns.box[mask_type].frombytes(_bytes(corners[mask_type]))
        columns.size[mask_type].frombytes(_bytes(sizes[mask_type]))
        columns.counts[mask_type].extend(_with_gaps(masks[mask_type], counts[mask_type]))
    return True


def _bytes(values: NDArray[Any] | None) -> bytes:
    return b"" if values is None else values.tobytes()


def _with_gaps(masks: Sequence[Any], counts: list[bytes]) -> list[bytes | None]:
    """The counts of the masks that are not None, and None for these."""
    if len(counts) == len(masks):
        return [*counts]
    remaining = iter(counts)
    return [None if mask is None else next(remaining) for mask in masks]


def _sizes(sizes: Sequence[Any]) -> Ints | None:
    """Heights and widths of masks [N, 2]; None where one is something else."""
    if not ({list}.issuperset(map(type, sizes)) and {2}.issuperset(map(len, sizes))):
        return None
    if not {int}.issuperset(map(type, chain.from_iterable(sizes))):
        return None
    # In most videos all are the same.
    same = len(sizes) > 0 and sizes.count(sizes[0]) == len(sizes)
    found = whole_numbers(sizes[0] if same else list(chain.from_iterable(sizes)))
    return None if found is None else np.broadcast_to(found.reshape(-1, 2), (len(sizes), 2))


def prediction_problem(prediction: Any) -> str | None:
    """What is wrong with the form of a prediction, as far as it shows without the images."""
    if not isinstance(prediction, Mapping):
        return "is not a JSON object; write one for each prediction"
    for key in ("image_id", "category_id", "score", "bbox", "track_id"):
        if key not in prediction:
            return f"has no '{key}'; add it"
    for key in ("image_id", "category_id", "track_id", "score"):
        if text := problem(key, prediction[key]):
            return text
    for box in _boxes(prediction).values():
        if not (isinstance(box, list | tuple) and len(box) == 4 and all(map(is_number, box))):
            return f"box {shown(box)} is wrong; must be four finite numbers [x, y, width, height]"
    masks = _masks(prediction)
    if not masks:
        return "has neither an 'amodal' nor a 'visible' mask; add one"
    for mask_type, mask in masks.items():
        if text := form_problem(mask):
            return f"the {mask_type} mask {text}"
    return None


def append(columns: Columns, number: int, prediction: Any, images: Images) -> str | None:
    """Adds one prediction of any form; returns what is wrong with its form."""
    if text := prediction_problem(prediction):
        return text
    row = int(images.index(np.array([prediction["image_id"]]))[0])
    size = tuple(images.size[row].tolist()) if row >= 0 else (0, 0)
    counts: dict[MaskType, bytes] = {}
    # A mask of an unknown image is never read: the prediction is refused for that.
    for mask_type, mask in _masks(prediction).items() if row >= 0 else ():
        try:
            counts[mask_type] = compress(mask, size)
        except MaskError as error:
            return f"the {mask_type} mask {error}"
    columns.number.append(number)
    columns.image.append(prediction["image_id"])
    columns.category.append(prediction["category_id"])
    columns.track.append(prediction["track_id"])
    columns.score.append(prediction["score"])
    for mask_type, box in _boxes(prediction).items():
        columns.box[mask_type].extend(box)
        columns.counts[mask_type].append(counts.get(mask_type))
        if mask_type in counts:
            columns.size[mask_type].extend(size)
    return None


def _boxes(prediction: Mapping[str, Any]) -> dict[MaskType, Any]:
    """The box by mask type: that of the amodal mask is also the visible one's, if it has none."""
    amodal, visible = prediction["bbox"], prediction.get("bbox_visible")
    return {"amodal": amodal, "visible": amodal if visible is None else visible}


def _masks(prediction: Mapping[str, Any]) -> dict[MaskType, Any]:
    """The masks that a prediction has."""
    masks = {mask_type: prediction.get(mask_type) for mask_type in MASK_TYPES}
    return {mask_type: mask for mask_type, mask in masks.items() if mask is not None}
