"""What can be wrong with the items of a joint JSON (contract 3), as typed faults.

Readers raise the first one; `vatrack validate` lists all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from vatrack.common.errors import InputError
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.similar import nearest
from vatrack.data.fields import is_safe_name, problem, shown

# The fields that an item must have, and those that may be missing or null, by list.
FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "categories": ((), ()),  # see `FileClasses`
    "videos": (("id",), ()),
    "images": (("id", "file_name", "width", "height"), ("video_id", "frame_id")),
    "annotations": (
        ("id", "image_id", "category_id"),
        ("video_id", "instance_id", "iscrowd", "occlude_rate"),
    ),
}
# Further fields that are read.
_READ = {
    "categories": ("id", "name"),
    "videos": ("name",),
    "images": (),
    "annotations": tuple(f"{name}_mask" for name in MASK_TYPES),
}
# Of other fields, those whose names are like one that is read.
_ALIKE = frozenset({"camera_id", "invisible_mask", "occluded"})
_KNOWN = {name: frozenset().union(*FIELDS[name], more) for name, more in _READ.items()}
LIST_IT = "add it there, or correct it"
# What an item of a list is called.
SINGULAR = {
    "categories": "category",
    "models": "model",
    "videos": "video",
    "images": "image",
    "annotations": "annotation",
}


class JointFault(NamedTuple):
    """Something wrong: the code of its finding (docs/findings.md), the item ("annotation 7", or ""
    for the whole file), a sentence with the fix, and how many pixels are wrong, where that says how
    bad it is."""

    finding: str
    place: str
    text: str
    pixels: int = 0

    def error(self, path: Path | str) -> InputError:
        """The same as a message about a file."""
        return InputError(": ".join(filter(None, (str(path), self.place, self.text))))


def item_faults(
    section: str, item: Mapping[str, Any], needed: Collection[str] | None = None
) -> Iterator[JointFault]:
    """What is wrong with an item of a list, whatever the other items are.

    Args:
        section: name of the list, one of `FIELDS`.
        needed: fields that must be there; None: those of `FIELDS`.
    """
    must, may = FIELDS[section]
    for name in must if needed is None else needed:
        if name not in item:
            yield missing(section, item, name)
        elif wrong := problem(name, item[name]):
            yield JointFault("number-bad", place_of(section, item), wrong)
    for name in may:
        if item.get(name) is not None and (wrong := problem(name, item[name])):
            yield JointFault("number-bad", place_of(section, item), wrong)
    if section == "videos" and not is_safe_name(item.get("name", "x")):
        yield JointFault(
            "video-name",
            place_of(section, item),
            f"{shown(item['name'])} is not allowed as the name of a video; rename it",
        )


def unique_faults(
    section: str, items: Iterable[Mapping[str, Any]], key: str = "id"
) -> Iterator[JointFault]:
    """Values of a field (`id`, or the `name` of videos) that more than one item of a list has."""
    seen = set()
    for item in items:
        if item[key] in seen:
            yield repeated(section, item, key)
        seen.add(item[key])


def frame_faults(
    images: Iterable[Json], images_of: MutableMapping[int, list[Json]]
) -> Iterator[JointFault]:
    """Adds each image to the list of its video, in the order of frames; what does not fit.

    The lists are complete, and in order, only after the last fault was taken.

    Args:
        images_of: an empty list for every video id.
    """
    for image in images:
        absent = [name for name in ("video_id", "frame_id") if image.get(name) is None]
        for name in absent:
            yield missing("images", image, name)
        if not absent and image["video_id"] in images_of:
            images_of[image["video_id"]].append(image)
        elif not absent:
            yield JointFault(
                "video-unknown",
                place_of("images", image),
                f"its video {image['video_id']} is not in the list of videos; {LIST_IT}",
            )
    for frames in images_of.values():
        frames.sort(key=lambda image: image["frame_id"])
        for before, after in pairwise(frames):
            if before["frame_id"] == after["frame_id"]:
                yield JointFault(
                    "image-twice",
                    place_of("images", after),
                    f"has the frame_id {after['frame_id']} of image {before['id']} of the same "
                    "video; number the frames 0, 1, 2, ...",
                )


def file_faults(images_of: Mapping[int, Iterable[Json]]) -> Iterator[JointFault]:
    """Images of a video whose file an earlier one has; two videos may share frames."""
    for images in images_of.values():
        seen = dict[str, int]()
        for image in images:
            other = seen.setdefault(image["file_name"], image["id"])
            if other != image["id"]:
                yield JointFault(
                    "image-twice",
                    place_of("images", image),
                    f"has the file {image['file_name']} of image {other} of the same video; "
                    "remove one of them with its annotations",
                )


def missing(section: str, item: Mapping[str, Any], name: str) -> JointFault:
    """An item lacks a field."""
    wrong = [other for other, near in misspelt(section, item) if name in near]
    fix = f"rename {wrong[0]} to {name}" if wrong else "add it"
    return JointFault(
        "field-missing",
        place_of(section, item),
        f"{name} is missing; {fix} (fields: docs/own-data.md)",
    )


def maskless(item: Mapping[str, Any]) -> JointFault:
    """An annotation has no mask of its own name."""
    fix = "add one"
    if item.get("segmentation") is not None:
        fix = "rename segmentation to visible_mask (in COCO it is the visible part)"
    for other, near in misspelt("annotations", item):
        if near[0].endswith("_mask"):
            fix = f"rename {other} to {' or '.join(near)}"
    return JointFault(
        "field-missing",
        place_of("annotations", item),
        f"has neither amodal_mask nor visible_mask; {fix}",
    )


def misspelt(section: str, item: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Unknown fields of an item whose names are like those of fields that it lacks, and these."""
    for name in item:
        if name not in _KNOWN[section] and name not in _ALIKE:
            near = _like(section, name)
            if near and all(item.get(other) is None for other in near):
                yield name, near


@lru_cache(1024)
def _like(section: str, name: str) -> tuple[str, ...]:
    return tuple(nearest(name, sorted(_KNOWN[section])))


def repeated(section: str, item: Mapping[str, Any], key: str = "id") -> JointFault:
    """An earlier item of the list has the same id, or the same `name` (videos)."""
    return JointFault(
        "id-twice" if key == "id" else "video-twice",
        place_of(section, item),
        f"{key} {shown(item[key])} is not unique; correct one of them",
    )


def place_of(section: str, item: Mapping[str, Any]) -> str:
    """What messages call an item: "annotation 7"."""
    return f"{SINGULAR[section]} {shown(item.get('id'))}"
