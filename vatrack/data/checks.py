"""Checks a file of annotations of any form while its store is built, so that training never starts
on damaged data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.data.fields import (
    annotation_problem,
    first_problem,
    is_safe_name,
    is_whole,
    masks_of,
    read_masks,
    shown,
)

TOGETHER = 4096  # masks checked at once
MASKS = ("segmentation", "amodal_mask", "visible_mask")


class AnnotationChecks:
    """Takes the items of a file in its order.

    Args:
        path: the file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[int, tuple[int, int]] = {}
        self._masks: list[tuple[Any, tuple[int, int], str]] = []
        self._ids: dict[str, set[int]] = {"videos": set(), "images": set()}

    def small(self, section: str, item: Mapping[str, Any]) -> None:
        """Checks a video or an image, as far as its fields are there.

        Raises:
            InputError: a field has a value that it may not have, or an id occurs twice.
        """
        names = ("id", "video_id", "frame_id", "width", "height", "file_name")
        where = f"{self.path}: {section}, id {shown(item.get('id'))}"
        if text := first_problem(item, names if section == "images" else ("id",)):
            raise InputError(f"{where}: {text}")
        if section == "videos" and "name" in item and not is_safe_name(item["name"]):
            raise InputError(
                f"{where}: {shown(item['name'])} cannot be the name of a clip; correct it"
            )
        if item.get("id") in self._ids[section]:
            raise InputError(f"{where}: occurs more than once; ids must be unique")
        if "id" in item:
            self._ids[section].add(item["id"])
        if section == "images" and {"id", "width", "height"} <= item.keys():
            self.sizes[item["id"]] = item["height"], item["width"]

    def annotation(self, item: Mapping[str, Any]) -> None:
        """Checks an annotation; its masks with others, later.

        Raises:
            InputError: a field has a value that it may not have, or a mask cannot be read.
        """
        where = f"{self.path}: annotation {shown(item.get('id'))}"
        if text := annotation_problem(item):
            raise InputError(f"{where}: {text}")
        image: Any = item.get("image_id")
        # An image that stands behind its annotations has no size yet: the masks of its frame are
        # checked when they are drawn.
        size = self.sizes.get(image) if is_whole(image) else None
        if size is not None:
            self._masks += [
                (mask, size, f"{where}: {name}")
                for name in MASKS
                for mask in masks_of(item.get(name))
            ]
            if len(self._masks) >= TOGETHER:
                self.masks()

    def masks(self) -> None:
        """Checks the masks that have come up to now.

        Raises:
            InputError: one does not fill its image.
        """
        if self._masks:
            masks, sizes, names = zip(*self._masks, strict=True)
            read_masks(masks, sizes, names)
            self._masks = []
