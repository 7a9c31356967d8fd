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
        self._waiting: list[tuple[Any, int, str]] = []
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
                f"{where}: {shown(item['name'])} is not allowed as the name of a clip; correct it"
            )
        if item.get("id") in self._ids[section]:
            raise InputError(f"{where}: listed more than once; ids must be unique")
        if "id" in item:
            self._ids[section].add(item["id"])
        if section == "images" and {"id", "width", "height"} <= item.keys():
            self.sizes[item["id"]] = item["height"], item["width"]

    def annotation(self, item: Mapping[str, Any]) -> None:
        """Checks an annotation; its masks with others, later: at the latest in `finish`.

        Raises:
            InputError: a field has a value that it may not have, or a mask cannot be read.
        """
        where = f"{self.path}: annotation {shown(item.get('id'))}"
        if text := annotation_problem(item):
            raise InputError(f"{where}: {text}")
        image: Any = item.get("image_id")
        if not is_whole(image):
            return
        found = [(mask, f"{where}: {name}") for name in MASKS for mask in masks_of(item.get(name))]
        size = self.sizes.get(image)
        if size is None:
            # The image may stand behind its annotations. Masks as text take little memory.
            self._waiting += [(mask, image, name) for mask, name in found]
            return
        self._masks += [(mask, size, name) for mask, name in found]
        if len(self._masks) >= TOGETHER:
            self._check_masks()

    def finish(self) -> None:
        """Checks the masks that are left when the whole file was read.

        Masks of images that the file does not list are not checked: nothing reads them.

        Raises:
            InputError: one does not fill its image.
        """
        self._check_masks()
        for mask, image, name in self._waiting:
            if image in self.sizes:
                self._masks.append((mask, self.sizes[image], name))
            if len(self._masks) >= TOGETHER:
                self._check_masks()
        self._check_masks()

    def _check_masks(self) -> None:
        if self._masks:
            masks, sizes, names = zip(*self._masks, strict=True)
            read_masks(masks, sizes, names)
            self._masks = []
