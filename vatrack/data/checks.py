"""Checks a file of annotations of any form while its store is built, so that training never starts
on damaged data."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.data.fields import (
    annotation_problem,
    is_whole,
    masks_of,
    read_masks,
)
from vatrack.data.joint.faults import FIELDS, JointFault, item_faults, place_of

CHECKED_TOGETHER = 4096  # masks checked at once
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
        given = [name for name in chain(*FIELDS[section]) if name in item]
        for fault in item_faults(section, item, given):
            raise fault.error(self.path)
        if item.get("id") in self._ids[section]:
            text = "is listed more than once; ids must be unique"
            raise JointFault("id-twice", place_of(section, item), text).error(self.path)
        if "id" in item:
            self._ids[section].add(item["id"])
        if section == "images" and {"id", "width", "height"} <= item.keys():
            self.sizes[item["id"]] = item["height"], item["width"]

    def annotation(self, item: Mapping[str, Any]) -> None:
        """Checks an annotation; its masks with others, later: at the latest in `finish`.

        Raises:
            InputError: a field has a value that it may not have, or a mask cannot be read.
        """
        where = f"{self.path}: {place_of('annotations', item)}"
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
        if len(self._masks) >= CHECKED_TOGETHER:
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
            if len(self._masks) >= CHECKED_TOGETHER:
                self._check_masks()
        self._check_masks()

    def _check_masks(self) -> None:
        if self._masks:
            masks, sizes, names = zip(*self._masks, strict=True)
            read_masks(masks, sizes, names)
            self._masks = []
