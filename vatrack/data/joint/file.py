"""The small lists of a joint JSON, checked and completed, and where its annotations are."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.errors import InputError
from vatrack.common.json_lists import read_lists
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import Ints
from vatrack.config.file_classes import FileClasses
from vatrack.config.methods import Method
from vatrack.data.fields import is_safe_name, safe_name
from vatrack.data.joint.faults import (
    FIELDS,
    LIST_IT,
    JointFault,
    file_faults,
    frame_faults,
    item_faults,
    maskless,
    repeated,
    unique_faults,
)
from vatrack.data.known_forms import AMODAL, JOINT, OFFICIAL, wants

COLUMNS = ("id", "image_id", "category_id", "video_id", "instance_id", "offset", "length")
UNKNOWN = -(2**63)  # in a column of ids; no id is that small


def _empty() -> Ints:
    return np.zeros(0, np.int64)


@dataclass
class JointFile:
    """The small lists of a joint JSON, and where its annotations are.

    Attributes:
        categories, videos, images: as in the file, with what follows from it filled in.
        images_of: the images of every video by id, in the order of frames.
        video, image: for each annotation the index of its video and of its image.
        ids, category, instances: its id, that of its category, and its instance id or `UNKNOWN`.
        offsets, lengths: where the text of each is, in bytes of the unpacked file.
        masks: how many annotations have each combination of mask types.
        class_ids: category ids by name; empty where they are wrong.
        counts: how many annotations have each class, by its name.
        total: how many items each list of the file has, sound or not.
        single: no list of videos, or no annotation has an instance id; every image is a
            video of one frame.
        trackless: why nothing is known about tracks; empty where something is.
    """

    path: Path
    categories: list[Json] = field(default_factory=list)
    videos: list[Json] = field(default_factory=list)
    images: list[Json] = field(default_factory=list)
    images_of: dict[int, list[Json]] = field(default_factory=dict)
    video: Ints = field(default_factory=_empty)
    image: Ints = field(default_factory=_empty)
    ids: Ints = field(default_factory=_empty)
    instances: Ints = field(default_factory=_empty)
    offsets: Ints = field(default_factory=_empty)
    lengths: Ints = field(default_factory=_empty)
    category: Ints = field(default_factory=_empty)
    class_ids: Mapping[str, int] = field(default_factory=dict)
    masks: dict[tuple[MaskType, ...], int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FIELDS, 0))
    single: bool = False
    trackless: str = ""

    @property
    def classes(self) -> FileClasses:
        """The classes of the file."""
        return FileClasses(str(self.path), self.class_ids)

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
        InputError: the file is damaged; or the first of `joint_faults`.
    """
    data = JointFile(Path(path))
    for fault in joint_faults(data):
        raise fault.error(data.path)
    return data


def joint_faults(data: JointFile) -> Iterator[JointFault]:
    """Reads a file into `data`, which has only its path, and tells what is wrong with its lists.

    A list or a field that is needed is missing or wrong; an id occurs twice or is not in its list;
    there is no image, or a video has none. Items with such fields are left out of `data`, which is
    complete only after the last fault was taken. Masks are not read.

    Raises:
        InputError: the file is damaged.
    """
    lists = set[str]()
    columns = {name: array("q") for name in COLUMNS}
    small = {"categories": data.categories, "videos": data.videos, "images": data.images}
    for item in read_lists(data.path, lists=lists):
        if item.section not in FIELDS:
            continue
        data.total[item.section] += 1
        value = item.value
        wrong = [*item_faults(item.section, value)]
        yield from wrong
        if any(fault.finding != "video-name" for fault in wrong):
            continue
        if item.section in small:
            small[item.section].append(value)
            continue
        types = tuple([name for name in MASK_TYPES if value.get(f"{name}_mask") is not None])
        if not types:
            yield maskless(value)
            continue
        data.masks[types] = data.masks.get(types, 0) + 1
        for name in COLUMNS[:5]:
            number = value.get(name)
            columns[name].append(UNKNOWN if number is None else number)
        columns["offset"].append(item.offset)
        columns["length"].append(item.length)
    arrays = {name: np.array(column, np.int64) for name, column in columns.items()}
    data.ids, data.instances = arrays["id"], arrays["instance_id"]
    data.category = arrays["category_id"]
    data.offsets, data.lengths = arrays["offset"], arrays["length"]
    if not data.total["images"]:
        yield JointFault("list-missing", "", "contains no images; list them, or give another file")
    if not data.total["categories"]:
        yield JointFault("list-missing", "", "lists no categories; add them")
    if "annotations" not in lists:
        yield JointFault("list-missing", "", "has no list `annotations`; add it, even if empty")
    if not data.total["videos"]:
        data.trackless = "no list of videos"
    elif len(data.ids) and (data.instances == UNKNOWN).all():
        data.trackless = "no annotation has an instance_id"
    data.single = bool(data.trackless) or not data.videos  # where all are faulty, that is told
    yield from unique_faults("images", data.images)
    yield from _video_faults(data)
    yield from _annotation_faults(data, arrays["image_id"], arrays["video_id"])


def _video_faults(data: JointFile) -> Iterator[JointFault]:
    """Fills in what follows from videos and images."""
    if data.single:
        for image in data.images:
            image.update(video_id=image["id"], frame_id=0)
            data.images_of[image["id"]] = [image]
        data.videos = single_videos(data.images)
    for video in data.videos:
        video.setdefault("name", str(video["id"]))
    if not data.single:
        yield from unique_faults("videos", data.videos)
        named = [video for video in data.videos if is_safe_name(video["name"])]
        yield from unique_faults("videos", named, "name")
        data.images_of = {video["id"]: [] for video in data.videos}
        yield from frame_faults(data.images, data.images_of)
        yield from file_faults(data.images_of)
    for video in data.videos if data.images else ():
        if not data.images_of[video["id"]]:
            yield JointFault(
                "video-frameless",
                f"video {video['id']} ({video['name']})",
                "has no images; add its frames, or remove it from the list",
            )
    if not data.single and all(len(frames) == 1 for frames in data.images_of.values()):
        data.trackless = "no video has two frames"
    for video in data.videos:
        video.pop("tracks", None)
        if data.trackless:
            video["tracks"] = False


def _annotation_faults(data: JointFile, images: Ints, videos: Ints) -> Iterator[JointFault]:
    """Fills in what belongs to each annotation, of which these are the ids.

    Where no image or no category is sound, what follows from that is not told of each annotation.
    """
    first = np.unique(data.ids, return_index=True)[1]
    for number in np.delete(data.ids, first).tolist():
        yield repeated("annotations", {"id": number})
    rows = {image["id"]: row for row, image in enumerate(data.images)}
    data.image = np.array([rows.get(number, -1) for number in images.tolist()], np.int64)
    for row in np.flatnonzero(data.image < 0).tolist() if rows else ():
        yield JointFault(
            "image-unknown",
            f"annotation {data.ids[row]}",
            f"its image {images[row]} is not in the list of images; {LIST_IT}",
        )
    try:
        data.class_ids = FileClasses.of(data.categories, str(data.path)).ids
    except InputError as error:
        yield JointFault("category-list", "", error.without(data.path))
    ids = list(data.class_ids.values())
    for row in np.flatnonzero(~np.isin(data.category, ids)).tolist() if ids else ():
        yield JointFault(
            "category-unknown",
            f"annotation {data.ids[row]}",
            f"its category {data.category[row]} is not in the list of categories; {LIST_IT}",
        )
    numbers, times = np.unique(data.category, return_counts=True)
    counted = dict(zip(numbers.tolist(), times.tolist(), strict=True))
    data.counts = {name: counted.get(number, 0) for name, number in data.class_ids.items()}
    row_of = {video["id"]: row for row, video in enumerate(data.videos)}
    # The last one is for what is not listed.
    of_image = [*(row_of.get(image.get("video_id"), -1) for image in data.images), -1]
    data.video = np.array(of_image, np.int64)[data.image]
    own = np.array([*(video["id"] for video in data.videos), UNKNOWN], np.int64)[data.video]
    differs = (videos != UNKNOWN) & (own != UNKNOWN) & (videos != own)
    for row in np.flatnonzero(differs & (not data.single)).tolist():
        yield JointFault(
            "video-unknown",
            f"annotation {data.ids[row]}",
            f"has video_id {videos[row]}, but its image is in video {own[row]}; correct one",
        )


def single_videos(images: Sequence[Json]) -> list[Json]:
    """A video for each image, with its id and a name of its own."""
    names: dict[str, Any] = {}
    for image in images:
        name = safe_name(image["file_name"])
        while name in names:
            name += f"_{image['id']}"
        names[name] = image["id"]
    return [{"id": number, "name": name} for name, number in names.items()]
