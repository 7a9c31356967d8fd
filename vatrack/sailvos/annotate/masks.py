"""The fields of an annotation from the masks of its object in one frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle

from vatrack.sailvos.annotate.mask_files import Ids

# Object ids are 16 bit; up to here they are counted in one pass, larger ones by sorting.
COUNTED_IDS = 1 << 16

Mask = npt.NDArray[np.bool_]


class Window(NamedTuple):
    """Rows top .. top + height - 1 and columns left .. left + width - 1 of an image."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns in arrays of the image's size."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def count_ids(ids: Ids) -> dict[int, int]:
    """Object id to its number of visible pixels, by ascending id, without the background."""
    if ids.max() < COUNTED_IDS:
        counts = np.bincount(ids.ravel())
        values = np.flatnonzero(counts)
        counts = counts[values]
    else:
        values, counts = np.unique(ids, return_counts=True)
    pairs = zip(values.tolist(), counts.tolist(), strict=True)
    return {value: count for value, count in pairs if value}


def describe_object(
    ids: Ids, obj_id: int, pixels: int, amodal: npt.NDArray[np.uint8]
) -> tuple[dict[str, Any], int]:
    """Boxes, masks, areas and occlusion of one object in one frame (spec 1.2).

    Visible is what the map says. At edges it may reach out of the amodal mask, so amodal is the PNG
    united with it: then visible and invisible add up to the amodal mask, and the occlusion rate
    lies in [0, 1).

    Args:
        ids: integers [H, W].
        obj_id: the object; it has pixels in `ids`.
        pixels: how many, from `count_ids`.
        amodal: uint8 [H, W], not 0 where the object is.

    Returns:
        The fields, and the number of visible pixels that the PNG lacks.
    """
    window = Window(*cv2.boundingRect(amodal))
    visible = ids[window.slices] == obj_id
    # Whole images are only searched for the few objects that are seen outside their mask's box.
    if np.count_nonzero(visible) < pixels:
        union = (amodal != 0) | (ids == obj_id)
        window = Window(*cv2.boundingRect(union.view(np.uint8)))
        visible = ids[window.slices] == obj_id
    whole = amodal[window.slices] != 0
    outside = int(np.count_nonzero(visible & ~whole))
    whole |= visible
    area = int(np.count_nonzero(whole))
    left, top, width, height = cv2.boundingRect(visible.view(np.uint8))
    size = (ids.shape[0], ids.shape[1])
    fields = {
        "bbox": [float(value) for value in window],
        "bbox_visible": [float(v) for v in (window.left + left, window.top + top, width, height)],
        "segmentation": encode_window(whole, window, size),
        "visible_mask": encode_window(visible, window, size),
        "invisible_mask": encode_window(whole & ~visible, window, size),
        "area": area,
        "area_visible": pixels,
        "iscrowd": 0,
        "occlu_depth": 0,
        "occlude_rate": 1 - pixels / area,
    }
    return fields, outside


def encode_window(mask: Mask, window: Window, size: tuple[int, int]) -> dict[str, Any]:
    """Compressed COCO mask of a whole image, as pycocotools encodes it, at its window's cost.

    Args:
        mask: bool [h, w], the content of the window; there is nothing outside.
        window: where it is.
        size: height and width of the image, pixels.
    """
    height, width = size
    # Runs go down the columns. A row of background below the window ends them at its columns' ends,
    # where the image goes on.
    rows = window.height + (window.height < height)
    columns = np.zeros((window.width, rows), bool)
    columns[:, : window.height] = mask.T
    flat = columns.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    if len(edges) % 2:
        edges = np.append(edges, len(flat))
    column, row = np.divmod(edges, rows)
    starts = (window.left + column) * height + window.top + row
    runs = np.diff(starts, prepend=0, append=height * width)
    counts = runs.tolist() if runs[-1] else runs[:-1].tolist()
    code: Mapping[str, Any] = rle.frPyObjects({"size": size, "counts": counts}, height, width)
    return {"size": list(code["size"]), "counts": code["counts"].decode("ascii")}
