"""The joint ground truth (contract 3) as columns: images and true objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vatrack.common.errors import InputError
from vatrack.common.mask_forms import PIXEL_LIMIT
from vatrack.common.mask_types import MaskType
from vatrack.common.rle import Floats, Ints, box_of
from vatrack.data.columns import column, rows_in_ascending
from vatrack.data.fields import is_box, problem, read_masks
from vatrack.data.joint.faults import frame_faults, unique_faults
from vatrack.evaluation.ap.overlaps import MaskRows
from vatrack.evaluation.io.checks import (
    FIX,
    all_known,
    flags,
    integers,
    list_of,
    numbers,
    values_of,
)

IMAGE_FIELDS = ("id", "video_id", "frame_id", "height", "width")


@dataclass(frozen=True)
class Images:
    """I images by ascending id. An image's index is its row here.

    `id` [I]; `video` [I] video ids; `position` [I] index in the video, from 0; `size` [I, 2] height
    and width in pixels; `categories` [C]: the category ids of the dataset, ascending; `frames`:
    video id to number of images. Everywhere behind the readers a category is its index in
    `categories`, because ids may have 64 bits and keys are made of several numbers.
    """

    id: Ints
    video: Ints
    position: Ints
    size: Ints
    categories: Ints
    frames: Mapping[int, int]

    def rows_of(self, video: int) -> Ints:
        """The rows of a video's images, in their order."""
        rows = np.flatnonzero(self.video == video)
        return rows[np.argsort(self.position[rows])]

    def index(self, ids: Ints) -> Ints:
        """Rows of image ids; -1 for those that are not listed."""
        return rows_in_ascending(self.id, ids)

    def category_index(self, ids: Ints) -> Ints:
        """Indices of category ids; -1 for those that are not listed."""
        return rows_in_ascending(self.categories, ids)


@dataclass(frozen=True)
class TrueObjects:
    """G true objects with one mask type, in file order.

    `masks`: image index, category index, mask; `id` [G] annotation id; `instance` [G] identity
    within the video; `area` [G] in pixels, as given; `rate` [G] occlusion; `crowd` [G]; `box`
    [G, 4] (x, y, width, height in pixels); `mask_area` [G]: the masks' own pixels.
    """

    masks: MaskRows
    id: Ints
    instance: Ints
    area: Floats
    rate: Floats
    crowd: NDArray[np.bool_]
    box: Floats
    mask_area: Ints


def read_images(document: Any, source: str) -> Images:
    """The images of a joint JSON.

    Args:
        document: the parsed JSON.
        source: its name, for messages.

    Raises:
        InputError: a list or field is missing, an id is listed twice, an image has no video or no
            size, or two images of a video the same frame_id.
    """
    lists = {name: list_of(document, name, source) for name in ("images", "categories", "videos")}
    ids = {name: integers(items, "id", source, name) for name, items in lists.items()}
    categories, images = np.sort(ids["categories"]), lists["images"]
    if (categories < 0).any():
        raise InputError(
            f"{source}: category id {categories[0]} is negative; ids must be 0 or more"
        )
    columns = [integers(images, key, source, "images") for key in IMAGE_FIELDS]
    of_video: dict[int, list[Any]] = {video: [] for video in sorted(ids["videos"].tolist())}
    for fault in chain(
        *(unique_faults(name, items) for name, items in lists.items()),
        frame_faults(images, of_video),
    ):
        raise fault.error(source)
    table = np.stack(columns, 1)[np.argsort(columns[0], kind="stable")]
    large = np.flatnonzero(table[:, 3:].prod(1) >= PIXEL_LIMIT)
    if len(large):
        raise InputError(
            f"{source}: image {table[large[0], 0]}: width times height is too large for an image; "
            f"{FIX}"
        )
    row_of = {image["id"]: row for frames in of_video.values() for row, image in enumerate(frames)}
    position = np.array([row_of[image] for image in table[:, 0].tolist()], np.int64)
    frames = {video: len(listed) for video, listed in of_video.items()}
    return Images(table[:, 0], table[:, 1], position, table[:, 3:5], categories, frames)


def read_objects(document: Any, images: Images, mask_type: MaskType, source: str) -> TrueObjects:
    """The true objects of a joint JSON with their masks of type `mask_type`.

    The amodal box is `bbox_amodal` where there is one (the forms in which `bbox` is another box),
    else `bbox`; the visible one is `bbox_visible`. Where an object has no such box, that of its
    mask takes its place.

    Raises:
        InputError: a field is missing, an image or category is unknown, image and video disagree, a
            mask is unsound or of another size, a box is not four numbers, or one instance has two
            masks in an image.
    """
    annotations = list_of(document, "annotations", source)
    columns = {
        key: integers(annotations, key, source, "annotations")
        for key in ("id", "image_id", "video_id", "category_id", "instance_id")
    }
    image = images.index(columns["image_id"])
    all_known(image >= 0, annotations, "image_id", source)
    category = images.category_index(columns["category_id"])
    all_known(category >= 0, annotations, "category_id", source)
    moved = np.flatnonzero(images.video[image] != columns["video_id"])
    if len(moved):
        item = annotations[moved[0]]
        raise InputError(
            f"{source}: annotation {item['id']} has video_id {item['video_id']}, but its image "
            f"{item['image_id']} "
            f"is in video {images.video[image[moved[0]]]}; {FIX}"
        )
    pairs = np.stack((image, columns["instance_id"]), 1)
    if len(np.unique(pairs, axis=0)) < len(pairs):
        order = np.lexsort(pairs.T)
        repeated = order[np.flatnonzero((np.diff(pairs[order], axis=0) == 0).all(1))[0]]
        instance, image_id = columns["instance_id"][repeated], columns["image_id"][repeated]
        raise InputError(f"{source}: instance {instance} has two masks in image {image_id}; {FIX}")
    counts, pixels = read_masks(
        values_of(annotations, f"{mask_type}_mask", source, "annotations"),
        images.size[image],
        [f"{source}: {mask_type}_mask of annotation {a['id']}" for a in annotations],
    )
    return TrueObjects(
        masks=MaskRows(image, category, counts),
        id=columns["id"],
        instance=columns["instance_id"],
        area=numbers(annotations, f"area_{mask_type}", source, "annotations"),
        rate=_rates(annotations, source),
        crowd=flags(annotations, "iscrowd", source, "annotations"),
        box=_boxes(annotations, mask_type, counts, images.size[image].tolist(), source),
        mask_area=pixels,
    )


def _rates(annotations: list[Any], source: str) -> Floats:
    """The occlusion rates [G]; NaN where there is none."""
    rates = np.full(len(annotations), np.nan)
    known = [row for row, item in enumerate(annotations) if item.get("occlude_rate") is not None]
    given = [annotations[row] for row in known]
    rates[known] = numbers(given, "occlude_rate", source, "annotations").clip(0, 1)
    return rates


def _boxes(
    annotations: list[Any],
    mask_type: MaskType,
    counts: list[bytes],
    sizes: list[list[int]],
    source: str,
) -> Floats:
    """The boxes [G, 4] of one mask type."""
    keys = ("bbox_visible",) if mask_type == "visible" else ("bbox_amodal", "bbox")
    for name in keys:
        given = [annotation.get(name) for annotation in annotations]
        if (found := column(name, given)) is not None:
            return found
        if any(value is not None for value in given):
            break
    boxes = np.empty((len(annotations), 4))
    for row, annotation in enumerate(annotations):
        key, box = next(
            ((key, annotation[key]) for key in keys if annotation.get(key) is not None),
            (None, None),
        )
        if key is None:
            box = box_of(counts[row], sizes[row])
        elif not is_box(box):
            raise InputError(f"{source}: annotation {annotation['id']}: {problem(key, box)}; {FIX}")
        boxes[row] = box
    return boxes
