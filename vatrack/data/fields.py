"""What every field of annotations and predictions may hold (contracts 2 and 3; spec 1.2, 1.5).

One meaning for all commands: `validate`, `convert`, `evaluate` and the reader of training data ask
here. A field that a command needs may not be missing; which ones that are, each reader knows.

| field | means |
|---|---|
| `id`, `*_id` | a whole number of 64 bits; 1.0, true and "1" are none |
| `width`, `height` | a whole number from 1 on; an image has fewer than 2^31 pixels |
| `bbox*` | x, y, width and height, finite; no negative width or height |
| `area*` | a number from 0 to 1e10 (more is outside every range that is evaluated) |
| `occlude_rate` | a number from 0 to 1; up to 1e-6 outside it is round-off and becomes 0 or 1 |
| `iscrowd`, `ignore` | 0 or 1, or false or true; null, as missing, is 0 |
| `file_name` | a relative path without `..`, links and control characters aside |
| masks | see `vatrack.common.mask_forms.compress` |

null in any other field is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.mask_forms import (
    PIXEL_LIMIT,
    MaskError,
    compress,
    compress_usual,
    form_problem,
)
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import Ints, canonical

LIMIT = 2**63
LARGEST = 1e300
AREA_LIMIT = 1e10
ROUND_OFF = 1e-6
SHOWN = 80  # characters of a value in a message
BOXES = ("bbox", "bbox_visible", "bbox_amodal")
AREAS = ("area", "area_visible", "area_amodal")
NEEDED = {
    "whole": "must be an integer between -2^63 and 2^63",
    "side": "must be an integer from 1 to 2^31 - 1",
    "number": "must be a finite number",
    "box": "must be four numbers x, y, width, height, with non-negative width and height",
    "area": f"must be a number from 0 to {AREA_LIMIT:g}",
    "rate": "must be a number from 0 to 1",
    "flag": "must be 0 or 1 (null is 0)",
    "path": "must be a relative path with / and without `..`",
}


def is_whole(value: object) -> bool:
    """Whether it is a whole number (true and false are not) that fits into 64 bits."""
    return type(value) is int and -LIMIT < value < LIMIT


def is_number(value: object) -> bool:
    """Whether it is a number whose product with another does not overflow."""
    # By exact type: it is asked eleven times for each of two million annotations.
    return (type(value) is float or type(value) is int) and -LIMIT < value < LIMIT


def is_finite(value: object) -> bool:
    """Whether it is a finite number; sums of such stay far from overflowing."""
    return (type(value) is float or type(value) is int) and -LARGEST < value < LARGEST


def is_side(value: object) -> bool:
    """Whether it is a width or height of an image in pixels."""
    return type(value) is int and 0 < value < PIXEL_LIMIT


def is_box(value: object) -> bool:
    """Whether it is x, y, width and height of a box."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 4
        and all(map(is_number, value))
        and value[2] >= 0
        and value[3] >= 0
    )


def is_area(value: object) -> bool:
    """Whether it is an area in pixels."""
    return (type(value) is float or type(value) is int) and 0 <= value <= AREA_LIMIT


def is_rate(value: object) -> bool:
    """Whether it is a share from 0 to 1, round-off aside."""
    return (type(value) is float or type(value) is int) and -ROUND_OFF <= value <= 1 + ROUND_OFF


def is_flag(value: object) -> bool:
    """Whether it says yes or no."""
    return value is None or (type(value) in (int, float, bool) and value in (0, 1))


def is_safe_name(value: object) -> bool:
    """Whether it can be the name of one file or folder."""
    return (
        isinstance(value, str)
        and value not in ("", ".", "..")
        and value.isprintable()
        and not set(value) & set("/\\:")
    )


def safe_name(text: str) -> str:
    """A text as the name of one file or folder: what that cannot hold becomes an underscore."""
    name = "".join("_" if c in "/\\:" or not c.isprintable() else c for c in text)
    return name if is_safe_name(name) else f"_{name}"


def lacks_tracks(videos: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every video of a list says that its instance ids tell nothing about tracks.

    Those of single images do, by `"tracks": false`.
    """
    return bool(videos) and all(video.get("tracks") is False for video in videos)


def is_safe_path(value: object) -> bool:
    """Whether it is a path that stays inside the folder that it is relative to."""
    return isinstance(value, str) and all(map(is_safe_name, value.split("/")))


_CHECKS: dict[str, Callable[[object], bool]] = {
    "whole": is_whole,
    "side": is_side,
    "number": is_finite,
    "box": is_box,
    "area": is_area,
    "rate": is_rate,
    "flag": is_flag,
    "path": is_safe_path,
}
MEANINGS = {
    **dict.fromkeys(("id", "image_id", "video_id", "category_id", "instance_id"), "whole"),
    **dict.fromkeys(("obj_id", "frame_id", "track_id"), "whole"),
    **dict.fromkeys(("width", "height"), "side"),
    **dict.fromkeys(BOXES, "box"),
    **dict.fromkeys(AREAS, "area"),
    **dict.fromkeys(("iscrowd", "ignore"), "flag"),
    "occlude_rate": "rate",
    "score": "number",
    "file_name": "path",
}


def problem(name: str, value: object) -> str | None:
    """What is wrong with the value of a field, with the value and what is needed; else None."""
    meaning = MEANINGS[name]
    if _CHECKS[meaning](value):
        return None
    return f"{name} is {shown(value)}; {NEEDED[meaning]}"


def first_problem(item: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """What is wrong with the first wrong field of these that the item has; else None."""
    return next(
        (text for name in names if name in item and (text := problem(name, item[name]))), None
    )


def shown(value: object) -> str:
    """A value as messages show it."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of very many digits
        return "a number with thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def rate(value: float) -> float:
    """An occlusion rate without its round-off."""
    return value if 0 <= value <= 1 else float(value > 1)


def flag(item: Mapping[str, Any], name: str) -> bool:
    """Whether a sound item is marked by a flag."""
    return bool(item.get(name))


def read_masks(
    masks: Sequence[Any], sizes: Sequence[Sequence[int]] | Ints, names: Sequence[str]
) -> tuple[list[bytes], Ints]:
    """Masks as canonical compressed strings, and their areas [N] in pixels.

    Args:
        masks: N masks of any form that `compress` reads.
        sizes: height and width of their images.
        names: what messages call them.

    Raises:
        InputError: a mask cannot be read, has another size than its image, or does not fill it.
    """
    sides = np.asarray(sizes, np.int64).reshape(-1, 2)
    sound = ((sides > 0) & (sides < PIXEL_LIMIT)).all() and (sides.prod(1) < PIXEL_LIMIT).all()
    counts = compress_usual(masks, sides.tolist()) if sound else None
    if counts is None:
        counts = []
        for mask, name, (height, width) in zip(masks, names, sides.tolist(), strict=True):
            try:
                counts.append(compress(mask, (height, width)))
            except MaskError as error:
                raise InputError(f"{name} {error}") from None
    found, areas, totals = canonical(counts)
    for row in np.flatnonzero(totals != sides.prod(1))[:1].tolist():
        raise InputError(f"{names[row]} {damage(int(totals[row]), sides[row].tolist())}")
    return found, areas


def damage(total: int, size: Sequence[int]) -> str:
    """What is wrong with a compressed string of so many pixels in an image of height and width."""
    pixels = f"have {counted(total, 'pixel')} and" if total >= 0 else "are invalid and"
    return (
        f"is damaged: its runs {pixels} do not fill the image, {size[1]} x {size[0]}; create "
        "the file again"
    )


def annotation_problem(item: Mapping[str, Any]) -> str | None:
    """What is wrong with an annotation of any of the forms, as far as its fields are there."""
    for name in ("id", "image_id", "video_id", "category_id", "instance_id", "obj_id"):
        if name in item and not is_whole(item[name]):
            return problem(name, item[name])
    for name in BOXES:
        value = item.get(name)
        if value is None and (name != "bbox" or name not in item):
            continue
        several = isinstance(value, list) and bool(value) and isinstance(value[0], list)
        boxes: list[Any] = value if isinstance(value, list) and several else [value]
        for box in boxes:
            if not is_box(box):
                return problem(name, box)
    if text := first_problem(item, (*AREAS, "occlude_rate", "iscrowd", "ignore")):
        return text
    for name in ("segmentation", "amodal_mask", "visible_mask"):
        for mask in masks_of(item.get(name)):
            if text := form_problem(mask):
                return f"{name} {text}"
    return None


def mask_types_of(annotations: Iterable[Any]) -> tuple[MaskType, ...]:
    """The mask types of which at least one annotation of a joint form has a mask; nothing is
    checked."""
    missing = set(MASK_TYPES)
    for annotation in annotations:
        if isinstance(annotation, Mapping):
            missing -= {name for name in missing if annotation.get(f"{name}_mask") is not None}
        if not missing:
            break
    return tuple(name for name in MASK_TYPES if name not in missing)


def masks_of(value: Any) -> list[Any]:
    """The masks of a field: one, or in the joint forms one for each mask type; none for null."""
    if value is None:
        return []
    # A list of lists of numbers is one mask, of polygons.
    several = (
        isinstance(value, list)
        and bool(value)
        and any(
            isinstance(item, Mapping)
            or (isinstance(item, list) and bool(item) and isinstance(item[0], list))
            for item in value
        )
    )
    return list(value) if several else [value]
