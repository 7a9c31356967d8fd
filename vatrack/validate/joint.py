"""Own annotations (a joint JSON, contract 3), checked to the end whatever is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.frame_folders import lacks_all
from vatrack.common.images import existing_image
from vatrack.common.json_lists import read_lists
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.config.classes import ClassList
from vatrack.config.file_classes import FileClasses
from vatrack.data.fields import (
    first_problem,
    is_safe_name,
    is_side,
    is_whole,
    mask_types_of,
    read_masks,
)
from vatrack.validate.findings import SINGULAR, Findings
from vatrack.validate.frames import Frame
from vatrack.validate.masks import is_inside

Json = dict[str, Any]

RATE_TOLERANCE = 1e-3
NEEDED: Mapping[str, tuple[str, ...]] = {
    "categories": ("id", "name"),
    "videos": ("id",),
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id"),
}


def check_joint(
    path: Path, images: Path, classes: ClassList | None, masks: bool, findings: Findings
) -> tuple[dict[str, int], list[Frame], ClassList | None]:
    """Checks one file and adds to `findings`; frames are looked for, not opened.

    Args:
        images: folder that the file names begin in.
        classes: those of the config; None: those of this file.
        masks: whether the two masks of an annotation are compared with each other.

    Returns:
        How many items each list has; the frames that are there; the classes of the file, or
        `classes` where they are given.
    """
    checker = _Checker(Path(path), findings)
    checker.lists()
    checker.relations()
    found = checker.classes(classes)
    checker.annotations(masks)
    return checker.total, list(checker.frames(Path(images))), found


def subsets_of(paths: Sequence[Path]) -> dict[str, Path]:
    """Annotation files by a name for each: its own, with as many folders as tell it from others.

    Example: `list(subsets_of([Path("a/b/x.json"), Path("a/c/x.json")])) == ["b/x.json",
    "c/x.json"]`

    Raises:
        InputError: a file is given twice, maybe by another path.
    """
    seen = set[Path]()
    for path in paths:
        if (real := path.resolve()) in seen:
            raise InputError(f"--joint {path}: is given twice; give each file once")
        seen.add(real)
    found = {}
    for path in paths:
        others = [other for other in paths if other != path]
        depth = 1
        while any(other.parts[-depth:] == path.parts[-depth:] for other in others):
            depth += 1
        found["/".join(path.parts[-depth:])] = path
    return found


class _Checker:
    def __init__(self, path: Path, findings: Findings) -> None:
        self.path, self.findings = path, findings
        self.total = dict.fromkeys(NEEDED, 0)
        self.items: dict[str, list[Json]] = {"categories": [], "videos": [], "images": []}
        self.broken = False

    def add(self, code: str, item: str = "", detail: str = "") -> None:
        self.findings.add(code, self.path, item, detail)

    def lists(self) -> None:
        """The small lists."""
        seen = set()
        try:
            for item in read_lists(self.path):
                seen.add(item.section)
                if item.section in self.total:
                    self.total[item.section] += 1
                if item.section in self.items and self._sound(item.section, item.value):
                    self.items[item.section].append(item.value)
        except InputError as error:
            self.broken = True
            self.add("json-broken", detail=error.without(self.path))
            return
        for name in ("categories", "images", "annotations"):
            if name not in seen:
                self.add("list-missing", name)

    def _sound(self, section: str, item: Json) -> bool:
        name = f"{SINGULAR[section]} {item.get('id')!r:.40}"
        missing = [key for key in NEEDED[section] if key not in item]
        for key in missing:
            self.add("field-missing", name, key)
        fields = ("id", "image_id", "video_id", "category_id", "instance_id", "frame_id")
        given = {key: value for key, value in item.items() if value is not None}
        keys = (*fields, "width", "height", "file_name", "iscrowd", "occlude_rate")
        text = first_problem(given, keys)
        if text:
            self.add("number-bad", name, text)
        if section == "videos" and not is_safe_name(item.get("name", "x")):
            self.add("video-name", name, f"{item.get('name')!r:.60}")
        return not missing and not text

    def relations(self) -> None:
        """Ids, and what belongs to what."""
        for section, items in self.items.items():
            seen: set[int] = set()
            for item in items:
                if item["id"] in seen:
                    self.add("id-twice", f"{SINGULAR[section]} {item['id']}")
                seen.add(item["id"])
        if not self.items["videos"] or self.broken:
            return
        videos = {video["id"] for video in self.items["videos"]}
        filled, places = set(), set()
        for image in self.items["images"]:
            name = f"image {image['id']}"
            video, frame = image.get("video_id"), image.get("frame_id")
            for key in ("video_id", "frame_id"):
                if image.get(key) is None:
                    self.add("field-missing", name, key)
            if video is not None and video not in videos:
                self.add("video-unknown", name, f"video {video}")
            if (video, frame) in places:
                self.add("image-twice", name, f"frame {frame} of video {video}")
            filled.add(video)
            places.add((video, frame))
        for video in self.items["videos"]:
            if video["id"] not in filled:
                self.add("video-frameless", f"video {video['id']}")

    def classes(self, wanted: ClassList | None) -> ClassList | None:
        """The classes to hold the next file to."""
        try:
            listed = FileClasses.of(self.items["categories"], str(self.path))
            listed.labels(wanted or listed.classes)
        except InputError as error:
            if not self.broken:
                self.add("category-list", detail=error.without(self.path).splitlines()[0])
            return wanted
        return wanted or listed.classes

    def annotations(self, compare: bool) -> None:
        """Every annotation, by itself and with the lists."""
        if self.broken:
            return
        images = {image["id"]: image for image in self.items["images"]}
        known = {category["id"] for category in self.items["categories"]}
        ids: set[int] = set()
        objects: set[tuple[Any, Any]] = set()
        category_of: dict[tuple[Any, Any], int] = {}
        nameless, tracked = list[str](), False  # without an instance id; whether some have one
        for item in read_lists(self.path):
            if item.section != "annotations" or not self._sound("annotations", item.value):
                continue
            value, name = item.value, f"annotation {item.value['id']}"
            if value["id"] in ids:
                self.add("id-twice", name)
            ids.add(value["id"])
            if value["category_id"] not in known:
                self.add("category-unknown", name, f"category {value['category_id']}")
            image = images.get(value["image_id"])
            if image is None:
                self.add("image-unknown", name, f"image {value['image_id']}")
                continue
            instance, video = value.get("instance_id"), image.get("video_id")
            if self.items["videos"]:
                if value.get("video_id") not in (None, video):
                    self.add("video-unknown", name, "its video differs from the video of its image")
                if instance is None:
                    nameless.append(name)
                tracked = tracked or instance is not None
            if is_whole(instance) and self.items["videos"]:
                if (image["id"], instance) in objects:
                    self.add("object-twice", name, f"instance {instance} in image {image['id']}")
                objects.add((image["id"], instance))
                key = (video, instance)
                if category_of.setdefault(key, value["category_id"]) != value["category_id"]:
                    self.add("object-category", name, f"instance {instance}")
            self._masks(value, name, (image["height"], image["width"]), compare)
        if tracked:
            self.findings.add_all(
                "field-missing", self.path, nameless, lambda name: (name, "instance_id")
            )
        frames = Counter(image.get("video_id") for image in images.values())
        if (
            not self.items["videos"]
            or (nameless and not tracked)
            or max(frames.values(), default=1) == 1
        ):
            self.add("tracks-unknown")

    def _masks(self, value: Json, name: str, size: tuple[int, int], compare: bool) -> None:
        found, areas = dict[MaskType, bytes](), dict[MaskType, int]()
        for mask_type in MASK_TYPES:
            mask = value.get(f"{mask_type}_mask")
            if mask is None:
                continue
            try:
                counts, area = read_masks([mask], [size], [f"{mask_type}_mask"])
            except InputError as error:
                said = mask.get("size") if isinstance(mask, dict) else None
                other = isinstance(said, list) and all(map(is_side, said)) and said != list(size)
                self.add("rle-size" if other else "rle-bad", name, str(error))
                continue
            found[mask_type], areas[mask_type] = counts[0], int(area[0])
        if not mask_types_of([value]):
            self.add("field-missing", name, "amodal_mask or visible_mask")
        if areas.get("amodal", areas.get("visible", 1)) == 0:
            self.add("mask-empty", name)
        if not compare or len(found) < 2 or not areas["amodal"]:
            return
        visible, amodal = (
            {"size": size, "counts": found[mask_type]} for mask_type in reversed(MASK_TYPES)
        )
        if not is_inside(visible, amodal, areas["amodal"]):
            self.add("visible-outside", name)
        rate = value.get("occlude_rate")
        real = 1 - areas["visible"] / areas["amodal"]
        if rate is not None and abs(rate - real) > RATE_TOLERANCE:
            self.add("rate-wrong", name, f"{rate:g}, not {real:.6g}")

    def frames(self, folder: Path) -> Iterator[Frame]:
        """The frames that are there."""
        names = (image["file_name"] for image in self.items["images"])
        if problem := lacks_all(folder, names, self.path):
            self.findings.add("raw-broken", folder, detail=problem)
            return
        for image in self.items["images"]:
            try:
                path = existing_image(folder / image["file_name"])
            except InputError:
                self.findings.add("frame-missing", folder / image["file_name"])
                continue
            yield Frame(str(path), (image["height"], image["width"]), listed=True)
