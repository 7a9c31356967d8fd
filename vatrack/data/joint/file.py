"""The small lists of a joint JSON, checked and completed, and where its annotations are."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.common.json_lists import read_lists
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.config.file_classes import FileClasses
from vatrack.config.methods import Method
from vatrack.data.fields import is_safe_name, is_whole, mask_types_of, problem, safe_name, shown
from vatrack.data.forms import Json
from vatrack.data.known_forms import AMODAL, JOINT, OFFICIAL, wants


@dataclass
class JointFile:
    """The small lists of a joint JSON, and where its annotations are.

    Attributes:
        categories, videos, images: as in the file, with what follows from it filled in.
        images_of: the images of every video by id, in the order of frames.
        video, image: for each annotation the index of its video and of its image.
        offsets, lengths: where the text of each is, in bytes of the unpacked file.
        masks: how many annotations have each combination of mask types.
        single: no list of videos, or no annotation has an instance id; every image is a
            video of one frame.
        trackless: why nothing is known about tracks; empty where something is.
    """

    path: Path
    categories: list[Json] = field(default_factory=list)
    videos: list[Json] = field(default_factory=list)
    images: list[Json] = field(default_factory=list)
    images_of: dict[int, list[Json]] = field(default_factory=dict)
    video: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    image: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    offsets: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    lengths: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    masks: dict[tuple[MaskType, ...], int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    single: bool = False
    trackless: str = ""

    @property
    def mask_types(self) -> tuple[MaskType, ...]:
        """The mask types to train on: both where some annotation has both, else the one there is.

        All where there is no annotation, which forbids nothing.
        """
        found = set(self.masks) - {()}
        if not found or MASK_TYPES in found:
            return MASK_TYPES
        return max(found, key=lambda types: self.masks[types])

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods that these masks allow."""
        return tuple(method for method in Method if set(method.masks) <= set(self.mask_types))


@wants(path=(JOINT, AMODAL, OFFICIAL))
def read_joint(path: Path) -> JointFile:
    """Reads the lists of a joint JSON and checks that they belong together; masks are not read.

    Raises:
        InputError: the file is damaged; a field that is needed is missing or wrong; an id occurs
            twice or is not in its list; there is no image, or a video has none.
    """
    data = JointFile(Path(path))
    columns = [array("q") for _ in range(4)]  # id of the image, of the category, offset, length
    videos: array[int] = array("q")  # as annotations say; -1: they do not
    known = False  # whether some annotation says which object it is
    found = {"categories": data.categories, "videos": data.videos, "images": data.images}
    for item in read_lists(data.path, required=("categories", "images", "annotations")):
        if item.section in found:
            found[item.section].append(item.value)
        elif item.section == "annotations":
            value, where = item.value, f"{path}: annotation {shown(item.value.get('id'))}"
            need(value, ("id", "image_id", "category_id"), where)
            types = mask_types_of([value])
            if not types:
                raise InputError(f"{where}: has neither amodal_mask nor visible_mask; add one")
            data.masks[types] = data.masks.get(types, 0) + 1
            for column, number in zip(
                columns,
                (value["image_id"], value["category_id"], item.offset, item.length),
                strict=True,
            ):
                column.append(number)
            video: Any = value.get("video_id")
            videos.append(video if is_whole(video) else -1)
            known = known or value.get("instance_id") is not None
    if not data.images:
        raise InputError(f"{path}: contains no images; list them, or give another file")
    if not data.videos:
        data.trackless = "no list of videos"
    elif videos and not known:
        data.trackless = "no annotation has an instance_id"
    data.single = bool(data.trackless)
    _complete_lists(data)
    image_ids, categories, data.offsets, data.lengths = (
        np.array(column, np.int64) for column in columns
    )
    names = {
        number: name for name, number in FileClasses.of(data.categories, str(path)).ids.items()
    }
    if not names:
        raise InputError(f"{path}: lists no categories; add them")
    rows = {image["id"]: row for row, image in enumerate(data.images)}
    places = {video["id"]: row for row, video in enumerate(data.videos)}
    data.image = np.array([rows.get(number, -1) for number in image_ids.tolist()], np.int64)
    for what, wrong, ids in (
        ("image", data.image < 0, image_ids),
        ("category", ~np.isin(categories, list(names)), categories),
    ):
        for row in np.flatnonzero(wrong)[:1].tolist():
            raise InputError(
                f"{path}: annotation {_id_at(data, row)}: its {what} {ids[row]} is not in the list "
                f"of {'images' if what == 'image' else 'categories'}; add it there, or correct it"
            )
    own = np.array([image["video_id"] for image in data.images], np.int64)[data.image]
    said = np.array(videos, np.int64)
    if not data.single:
        for row in np.flatnonzero((said >= 0) & (said != own))[:1].tolist():
            raise InputError(
                f"{path}: annotation {_id_at(data, row)}: has video_id {said[row]}, but its image "
                f"is in video {own[row]}; correct one of them"
            )
    data.video = np.array([places[number] for number in own.tolist()], np.int64)
    numbers, times = np.unique(categories, return_counts=True)
    counted = dict(zip(numbers.tolist(), times.tolist(), strict=True))
    data.counts = {name: counted.get(number, 0) for number, name in names.items()}
    return data


def _id_at(data: JointFile, row: int) -> Any:
    """The id of an annotation, for messages."""
    items = (item for item in read_lists(data.path) if item.section == "annotations")
    return next(islice(items, row, None)).value["id"]


def need(item: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for name in names:
        if name not in item:
            raise InputError(f"{where}: {name} is missing; add it (fields: docs/own-data.md)")
        if text := problem(name, item[name]):
            raise InputError(f"{where}: {text}")


def _complete_lists(data: JointFile) -> None:
    """Checks videos and images, and fills in what follows from them."""
    path = data.path
    for image in data.images:
        where = f"{path}: image {shown(image.get('id'))}"
        need(image, ("id", "file_name", "width", "height"), where)
        if data.single:
            image.update(video_id=image["id"], frame_id=0)
        need(image, ("video_id", "frame_id"), where)
    if data.single:
        data.videos = single_videos(data.images)
    for video in data.videos:
        where = f"{path}: video {shown(video.get('id'))}"
        need(video, ("id",), where)
        video.setdefault("name", str(video["id"]))
        if not is_safe_name(video["name"]):
            raise InputError(
                f"{where}: {shown(video['name'])} is not allowed as the name of a video; rename it"
            )
    for what, items, key in (
        ("image", data.images, "id"),
        ("video", data.videos, "id"),
        ("video", data.videos, "name"),
    ):
        seen = set()
        for item in items:
            if item[key] in seen:
                raise InputError(
                    f"{path}: {what} {item['id']}: {key} {shown(item[key])} is not unique; correct "
                    "one of them"
                )
            seen.add(item[key])
    data.images_of = {video["id"]: [] for video in data.videos}
    for image in data.images:
        if image["video_id"] not in data.images_of:
            raise InputError(
                f"{path}: image {image['id']}: its video {image['video_id']} is not in the list of "
                "videos; add it there, or correct it"
            )
        data.images_of[image["video_id"]].append(image)
    for video in data.videos:
        frames = data.images_of[video["id"]]
        if not frames:
            raise InputError(
                f"{path}: video {video['id']} ({video['name']}) has no images; add its frames, or "
                "remove it from the list"
            )
        frames.sort(key=lambda image: image["frame_id"])
        for before, after in pairwise(frames):
            if before["frame_id"] == after["frame_id"]:
                raise InputError(
                    f"{path}: images {before['id']} and {after['id']} of video {video['id']} have "
                    f"the same frame_id {after['frame_id']}; number the frames 0, 1, 2, ..."
                )

    if not data.trackless and all(len(frames) == 1 for frames in data.images_of.values()):
        data.trackless = "no video has two frames"
    for video in data.videos:
        video.pop("tracks", None)
        if data.trackless:
            video["tracks"] = False


def single_videos(images: Sequence[Json]) -> list[Json]:
    """A video for each image, with its id and a name of its own."""
    names: dict[str, Any] = {}
    for image in images:
        name = safe_name(image["file_name"])
        names[f"{name}_{image['id']}" if name in names else name] = image["id"]
    return [{"id": number, "name": name} for name, number in names.items()]
