"""One COCO mask in any of the forms that pycocotools reads: compressed string, list of runs,
polygons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from pycocotools import mask as coco_mask

from vatrack.common.counted import counted
from vatrack.common.rle import RUN_LIMIT, encode

PIXEL_LIMIT = 2**31  # of an image: pycocotools counts in 32 bits
POLYGON_SIDE = 1 << 15  # longest side of an image whose masks may be polygons
NEEDED = (
    "must be a run-length code {size: [height, width], counts: string or list of run lengths} "
    "or a list of polygons"
)


class MaskError(ValueError):
    """A mask that cannot be read. The text is the reason, the rest of a sentence that begins with
    the mask's name."""


def form_problem(mask: Any) -> str | None:
    """What is wrong with the form of a mask, as far as that shows without its image; else None."""
    try:
        if isinstance(mask, list | tuple):
            _check_polygons(mask)
        else:
            size, counts = _size_and_counts(mask)
            if isinstance(counts, list | tuple):
                _check_runs(counts, size)
    except MaskError as error:
        return str(error)
    return None


def compress(mask: Any, size: tuple[int, int]) -> bytes:
    """The compressed string of a mask in any form that pycocotools reads.

    Args:
        mask: `{size, counts}` with a compressed string or a list of run lengths, or a list of
            polygons `[[x, y, x, y, x, y, ...], ...]` in pixels.
        size: height and width of its image.

    Returns:
        A string that may still be garbage where the mask was one: `canonical` tells.

    Raises:
        MaskError: it has another form or another size; or its polygons are relative to the image.
    """
    height, width = size
    if isinstance(mask, list | tuple):
        _check_polygons(mask)
        if max(size) > POLYGON_SIDE:
            raise MaskError(
                f"is a list of polygons, but its image ({width} x {height}) is too large for "
                "polygons; use run-length codes"
            )
        if _is_relative(mask):
            raise MaskError(
                "has polygons with coordinates from 0 to 1, relative to the image; multiply x by "
                f"its width ({width}) and y by its height ({height})"
            )
        if not all(
            -width <= x <= 2 * width and -height <= y <= 2 * height
            for polygon in mask
            for x, y in zip(polygon[::2], polygon[1::2], strict=True)
        ):
            raise MaskError(f"is a polygon far outside its image ({width} x {height}); correct it")
        codes = coco_mask.frPyObjects([list(map(float, polygon)) for polygon in mask], *size)
        return coco_mask.merge(codes)["counts"]
    own, counts = _size_and_counts(mask)
    if own != (height, width):
        raise MaskError(
            f"has size {list(own)}, its image {[height, width]} (height, width); use masks and "
            "images of the same dataset"
        )
    if isinstance(counts, str):
        return counts.encode()
    if isinstance(counts, bytes):
        return counts
    runs: Any = counts
    _check_runs(runs, own)
    return encode(runs)


def pixels_outside(inner: Mapping[str, Any], outer: Mapping[str, Any], outer_area: int) -> int:
    """The pixels of a mask that are not in another of its size: their union has so many more.

    Args:
        inner, outer: `{size, counts}` with compressed strings of sound masks.
        outer_area: pixels of `outer`.
    """
    return int(coco_mask.area(coco_mask.merge([inner, outer]))) - outer_area


def compress_usual(masks: Sequence[Any], sizes: Sequence[Sequence[int]]) -> list[bytes] | None:
    """The compressed strings of N masks that are `{size, counts}` with a string, fast; None where
    one may have another form, or another size than its image.

    Args:
        sizes: N lists of height and width of their images.
    """
    if not {dict}.issuperset(map(type, masks)):
        return None
    try:
        own = [mask["size"] for mask in masks]
        counts = [mask["counts"].encode("ascii") for mask in masks]
    except (KeyError, AttributeError, UnicodeEncodeError):
        return None
    if own != sizes or not {int}.issuperset(map(type, chain.from_iterable(own))):
        return None
    return counts


def rectangle(box: Sequence[float], size: Sequence[int]) -> bytes | None:
    """The canonical compressed string of the pixels of a box, its edges rounded; None where it has
    none in the image.

    An edge in the middle of a pixel is rounded up, so that a box keeps its size when it is moved by
    whole pixels: `round` would take the even neighbour.

    Args:
        box: x, y, width, height in pixels, which may reach beyond the image.
        size: height and width of the image.
    """
    height, width = size
    left, right = (_edge(x, width) for x in (box[0], box[0] + box[2]))
    top, bottom = (_edge(y, height) for y in (box[1], box[1] + box[3]))
    if left >= right or top >= bottom:
        return None
    runs = [left * height + top]
    for _ in range(right - left - 1):
        runs += [bottom - top, height - (bottom - top)]
    return encode([*runs, bottom - top, (width - right + 1) * height - bottom])


def _edge(value: float, side: int) -> int:
    """The pixel that an edge of a box is rounded to, in an image of this side."""
    return min(max(math.floor(value + 0.5), 0), side)


def _size_and_counts(mask: Any) -> tuple[tuple[int, int], str | bytes | Sequence[Any]]:
    """Size and counts of a run-length code."""
    size = mask.get("size") if isinstance(mask, Mapping) else None
    if (
        not isinstance(size, list | tuple)
        or len(size) != 2
        or not all(type(side) is int and 0 < side < PIXEL_LIMIT for side in size)
        or size[0] * size[1] >= PIXEL_LIMIT
        or "counts" not in mask
    ):
        raise MaskError(f"is not a mask; it {NEEDED}")
    counts = mask["counts"]
    if not isinstance(counts, str | bytes | list | tuple) or (
        isinstance(counts, str | bytes) and not counts.isascii()
    ):
        raise MaskError(f"has invalid counts; it {NEEDED}")
    return (size[0], size[1]), counts


def _check_runs(runs: Sequence[Any], size: tuple[int, int]) -> None:
    if not all(type(run) is int and 0 <= run < RUN_LIMIT for run in runs):
        raise MaskError("has run lengths that are not non-negative integers; create the file again")
    if sum(runs) != size[0] * size[1]:
        raise MaskError(
            f"is damaged: its runs cover {counted(sum(runs), 'pixel')} instead of "
            f"{size[1]} x {size[0]}; create the file again"
        )


def _is_relative(polygons: Sequence[Sequence[float]]) -> bool:
    """Whether coordinates are shares of the image's width and height: none is beyond the first
    pixel, and they are not just its corners."""
    return all(0 <= value <= 1 for value in chain.from_iterable(polygons)) and any(
        0 < value < 1 for value in chain.from_iterable(polygons)
    )


def _check_polygons(polygons: Sequence[Any]) -> None:
    if not polygons:
        raise MaskError(f"is an empty list; it {NEEDED}")
    for polygon in polygons:
        if not isinstance(polygon, list | tuple):
            raise MaskError(f"is a list, but not of polygons; it {NEEDED}")
        if len(polygon) < 6 or len(polygon) % 2:
            raise MaskError(
                f"has a polygon of {counted(len(polygon), 'number')}; polygons need three or "
                "more x, y pairs"
            )
        if not all(type(value) in (int, float) and abs(value) < math.inf for value in polygon):
            raise MaskError("has a polygon with values that are not finite numbers; correct it")
