"""The raw masks of one frame: the map of visible objects, the amodal mask of each object, and what
they say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle

from vatrack.common.errors import InputError
from vatrack.common.images import AGAIN, decode, png_is_whole

# Object ids are 16 bit; up to here they are counted in one pass, larger ones by sorting.
COUNTED_IDS = 1 << 16

Ids = npt.NDArray[np.integer[Any]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """A part of the picture: rows top .. top + height - 1, columns left .. left + width - 1."""

    left: int
    top: int
    width: int
    height: int

    @property
    def index(self) -> tuple[slice, slice]:
        """Index of the window in arrays of the picture's size."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def join(self, other: Window) -> Window:
        """The smallest window around both; one without a pixel adds nothing."""
        if not other.width or not self.width:
            return self if self.width else other
        left, top = min(self.left, other.left), min(self.top, other.top)
        right = max(self.left + self.width, other.left + other.width)
        bottom = max(self.top + self.height, other.top + other.height)
        return Window(left, top, right - left, bottom - top)


def list_numbered(folder: Path, suffixes: Iterable[str]) -> dict[int, str]:
    """Files of a folder by their number: releases differ in the width of names (`000003.png`,
    `3.png`).

    Args:
        folder: may be missing.
        suffixes: wanted ones in lower case. Of two files of one number that of the earlier suffix
            is taken, then the longer name. Other files are not looked at.
    """
    if not folder.is_dir():
        return {}
    ranks = {suffix: rank for rank, suffix in enumerate(suffixes)}
    found: dict[int, tuple[int, int, str]] = {}
    for entry in folder.iterdir():
        rank = ranks.get(entry.suffix.lower())
        if rank is None or not (entry.stem.isascii() and entry.stem.isdigit()):
            continue
        candidate = (rank, -len(entry.name), entry.name)
        number = int(entry.stem)
        found[number] = min(found.get(number, candidate), candidate)
    return {number: name for number, (_, _, name) in found.items()}


def read_ids(path: Path, size: tuple[int, int]) -> Ids:
    """Reads a map of visible objects: integers [H, W], the id of the object seen at each pixel, 0
    for none.

    Args:
        path: `<video>/visible/%06d.npy`.
        size: width and height of its picture.

    Raises:
        InputError: missing, cut off, not a plain array of integers, negative, or of another size
            than the picture.
    """
    try:
        ids = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {AGAIN}") from None
    except (ValueError, EOFError, MemoryError) as error:
        # numpy asks for pickles where a file is garbage; such a file is not tried.
        reason = (
            "is not a NumPy array" if "pickle" in str(error) else f"is cut off or broken ({error})"
        )
        raise InputError(f"{path}: {reason}; {AGAIN}") from None
    if not isinstance(ids, np.ndarray) or ids.dtype.kind not in "iu":
        kind = getattr(ids, "dtype", type(ids).__name__)
        raise InputError(f"{path}: holds {kind}, a map of object ids holds integers; {AGAIN}")
    width, height = size
    if ids.shape != (height, width):
        found = " x ".join(map(str, ids.shape[::-1]))
        raise InputError(
            f"{path}: is {found} pixels, its picture {width} x {height}; map and picture must be "
            f"of one release"
        )
    if ids.dtype.kind == "i" and ids.min() < 0:
        raise InputError(f"{path}: holds the negative object id {ids.min()}; {AGAIN}")
    return ids


def read_amodal(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8] | None:
    """Reads an amodal mask: uint8 [H, W], the object where it is not 0 (grey, colour and palette
    PNGs); None if missing.

    Args:
        path: `<video>/<objid>_<Model>/%06d.png`.
        size: width and height of its picture.

    Raises:
        InputError: cut off, not a PNG that decodes, or of another size than the picture.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {AGAIN}") from None
    # OpenCV fills the missing part of a truncated picture and says nothing.
    whole = png_is_whole(data)
    mask = decode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if whole else None
    if mask is None:
        raise InputError(
            f"{path}: {'is empty' if not data else 'is cut off or no PNG picture'}; {AGAIN}"
        )
    width, height = size
    if mask.shape != (height, width):
        found = f"{mask.shape[1]} x {mask.shape[0]}"
        raise InputError(
            f"{path}: is {found} pixels, its picture {width} x {height}; mask and picture must be "
            f"of one release"
        )
    return np.asarray(mask, np.uint8)


def count_ids(ids: Ids) -> dict[int, int]:
    """Object id to its number of visible pixels, by ascending id, without the background."""
    if ids.max() < COUNTED_IDS:
        counts = np.bincount(ids.ravel())
        values = np.flatnonzero(counts)
        counts = counts[values]
    else:
        values, counts = np.unique(ids, return_counts=True)
    return {
        value: count for value, count in zip(values.tolist(), counts.tolist(), strict=True) if value
    }


def describe_object(
    ids: Ids, obj_id: int, pixels: int, amodal: npt.NDArray[np.uint8]
) -> tuple[dict[str, Any], int]:
    """Boxes, masks, areas and occlusion of one object in one frame (spec 1.2).

    Visible is what the map says. At edges it may reach out of the amodal mask, so amodal is the PNG
    united with it: then visible and invisible part the amodal mask, and the occlusion rate lies in
    [0, 1).

    Args:
        ids: integers [H, W].
        obj_id: the object; it has pixels in `ids`.
        pixels: how many, from `count_ids`.
        amodal: uint8 [H, W], not 0 where the object is.

    Returns:
        The fields, and the number of visible pixels that the PNG lacks.
    """
    window = _tight(amodal)
    visible = ids[window.index] == obj_id
    # The whole picture is only searched for the few objects that are seen outside the box of their
    # mask.
    if np.count_nonzero(visible) < pixels:
        window = window.join(_tight((ids == obj_id).view(np.uint8)))
        visible = ids[window.index] == obj_id
    whole = amodal[window.index] != 0
    outside = int(np.count_nonzero(visible & ~whole))
    whole |= visible
    hidden = whole & ~visible
    area = int(np.count_nonzero(whole))
    seen = _tight(visible.view(np.uint8))
    size = (ids.shape[0], ids.shape[1])
    fields = {
        "bbox": [float(value) for value in (window.left, window.top, window.width, window.height)],
        "bbox_visible": [
            float(value)
            for value in (window.left + seen.left, window.top + seen.top, seen.width, seen.height)
        ],
        "segmentation": encode_window(whole, window, size),
        "visible_mask": encode_window(visible, window, size),
        "invisible_mask": encode_window(hidden, window, size),
        "area": area,
        "area_visible": pixels,
        "iscrowd": 0,
        "occlu_depth": 0,
        "occlude_rate": 1 - pixels / area,
    }
    return fields, outside


def _tight(mask: npt.NDArray[np.uint8]) -> Window:
    """The smallest window around what is not 0."""
    return Window(*cv2.boundingRect(mask))


def encode_window(mask: Mask, window: Window, size: tuple[int, int]) -> dict[str, Any]:
    """Compressed COCO mask of the whole picture from a window of it, as pycocotools encodes the
    whole, at the window's cost.

    Args:
        mask: bool [h, w], the content of the window; there is nothing outside.
        window: where it is.
        size: height and width of the picture.
    """
    height, width = size
    # Runs go down the columns. A row of background below the window ends them at its columns' ends,
    # where the picture goes on.
    rows = window.height + (window.height < height)
    columns = np.zeros((window.width, rows), bool)
    columns[:, : window.height] = mask.T
    flat = columns.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    if len(edges) % 2:
        edges = np.append(edges, len(flat))
    column, row = np.divmod(edges, rows)
    places = (window.left + column) * height + window.top + row
    runs = np.diff(places, prepend=0, append=height * width)
    counts = runs.tolist() if runs[-1] else runs[:-1].tolist()
    code: Mapping[str, Any] = rle.frPyObjects(
        {"size": [height, width], "counts": counts}, height, width
    )
    return {"size": list(code["size"]), "counts": code["counts"].decode("ascii")}
