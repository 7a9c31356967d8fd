"""Own annotations: a minimal joint JSON (contract 3) to the forms that methods read.

Masks are all that is needed; boxes, areas and occlusion rates are computed from them. The file is
read twice: once for what goes where, once video by video. Memory holds its small lists, some
numbers for each annotation, and the annotations of one video.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vatrack.common.errors import InputError
from vatrack.common.files import scratch_directory, unpacked
from vatrack.common.images import existing_image
from vatrack.common.json_lists import Texts, read_lists
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import box_of
from vatrack.config.classes import FileClasses
from vatrack.config.dataset import DatasetConfig
from vatrack.config.methods import Method
from vatrack.data.fields import (
    annotation_problem,
    flag,
    is_safe_name,
    is_whole,
    problem,
    rate,
    read_masks,
    safe_name,
    shown,
)
from vatrack.data.form_files import SEPARATOR, finish, form_file, move_files, write_head
from vatrack.data.forms import form_maker
from vatrack.data.video_ground_truth import video_ground_truth

Json = dict[str, Any]

# Computed from the masks, whatever the file says.
COMPUTED = frozenset(
    {"segmentation", "amodal_mask", "visible_mask", "bbox", "bbox_amodal", "bbox_visible"}
    | {"area", "area_amodal", "area_visible", "occlude_rate"}
)


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


@dataclass(frozen=True)
class Prepared:
    """What `prepare_joint` has written.

    Attributes:
        out: the folder.
        kept: annotations in the forms, of so many `annotations` of the file.
        incomplete: left out, because they lack a mask that the others have.
        notes: what the masks or the videos do not allow, in sentences.
    """

    out: Path
    videos: int
    frames: int
    kept: int
    annotations: int
    incomplete: int
    tracks: int
    mask_types: tuple[MaskType, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        first = (
            f"{self.videos} videos, {self.frames} frames, {self.kept} of {self.annotations} "
            f"annotations with {' and '.join(self.mask_types)} masks, {self.tracks} tracks in "
            f"{self.out}"
        )
        return "\n".join([first, *self.notes])


def read_joint(path: Path) -> JointFile:
    """Reads the lists of a joint JSON and checks that they belong together; masks are not read.

    Raises:
        InputError: the file is damaged; a field that is needed is missing or wrong; an id occurs
            twice or is not in its list; a video has no image.
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
            _need(value, ("id", "image_id", "category_id"), where)
            types = tuple(name for name in MASK_TYPES if value.get(f"{name}_mask") is not None)
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


def _need(item: Mapping[str, Any], names: Sequence[str], where: str) -> None:
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
        _need(image, ("id", "file_name", "width", "height"), where)
        if data.single:
            image.update(video_id=image["id"], frame_id=0)
        _need(image, ("video_id", "frame_id"), where)
    if data.single:
        data.videos = single_videos(data.images)
    for video in data.videos:
        where = f"{path}: video {shown(video.get('id'))}"
        _need(video, ("id",), where)
        video.setdefault("name", str(video["id"]))
        if not is_safe_name(video["name"]):
            raise InputError(
                f"{where}: {shown(video['name'])} is not allowed as the name of a video"
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
                f"videos; add it there, or correct it"
            )
        data.images_of[image["video_id"]].append(image)
    for video in data.videos:
        frames = data.images_of[video["id"]]
        if not frames:
            raise InputError(
                f"{path}: video {video['id']} ({video['name']}) has no images; add its frames, or "
                f"remove it from the list"
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


def complete(items: Sequence[Json], sizes: Sequence[tuple[int, int]], path: Path) -> list[Json]:
    """Annotations with everything that follows from their masks.

    Boxes and areas are those of the masks. The occlusion rate is the file's where it gives one,
    else hidden / amodal area where both masks are there; else it is unknown and not there.

    Args:
        sizes: height and width of the image of each.

    Returns:
        Annotations with `bbox_TYPE`, `area_TYPE` and `TYPE_mask` of the mask types they have.

    Raises:
        InputError: a field is wrong, or a mask is damaged or has another size than its image.
    """
    done = [
        {key: value for key, value in item.items() if key not in COMPUTED and value is not None}
        for item in items
    ]
    for item, own in zip(items, done, strict=True):
        if item.get("occlude_rate") is not None:
            own["occlude_rate"] = item["occlude_rate"]
        if text := annotation_problem(own):
            raise InputError(f"{path}: annotation {item['id']}: {text}")
        if "occlude_rate" in own:
            own["occlude_rate"] = rate(own["occlude_rate"])
        own["iscrowd"] = int(flag(own, "iscrowd"))
    for name in MASK_TYPES:
        key = f"{name}_mask"
        rows = [row for row, item in enumerate(items) if item.get(key) is not None]
        counts, areas = read_masks(
            [items[row][key] for row in rows],
            [sizes[row] for row in rows],
            [f"{path}: annotation {items[row]['id']}: {key}" for row in rows],
        )
        for row, code, area in zip(rows, counts, areas.tolist(), strict=True):
            done[row][key] = {"size": list(sizes[row]), "counts": code.decode()}
            done[row][f"bbox_{name}"] = box_of(code, sizes[row])
            done[row][f"area_{name}"] = area
    for own in done:
        whole = own.get("area_amodal")
        if "occlude_rate" not in own and whole and "area_visible" in own:
            own["occlude_rate"] = max(0.0, (whole - own["area_visible"]) / whole)
    return done


def make_form(annotation: Json, form: str, types: tuple[MaskType, ...], joint_box: str) -> Json:
    """A completed annotation in one of the forms (spec 1.5).

    Args:
        types: the mask types of the file; with one of them alone, every form has that one.
    """
    if types == MASK_TYPES:
        official = {
            key: value
            for key, value in annotation.items()
            if key not in ("amodal_mask", "bbox_amodal", "area_amodal")
        }
        official["segmentation"] = annotation["amodal_mask"]
        official["bbox"] = annotation["bbox_amodal"]
        official["area"] = annotation["area_amodal"]
        return form_maker(form, joint_box)(official)
    (name,) = types
    mask = annotation[f"{name}_mask"]
    made = {**annotation, "bbox": annotation[f"bbox_{name}"]}
    if form == "joint":
        return {**made, "segmentation": [mask]}
    return {**made, "segmentation": mask, "area": annotation[f"area_{name}"]}


def prepare_joint(
    source: Path,
    images: Path,
    dataset: DatasetConfig,
    out: Path,
    methods: Sequence[Method] = (),
) -> Prepared:
    """Writes what the methods read of own annotations into a folder, or nothing.

    `joint.json`, the forms of the methods that the masks allow, and `video_TYPE.json` of every mask
    type that is there (spec 1.5, 1.6). Category ids stay those of the file: names say which class
    is which.

    Args:
        images: folder that `file_name` is relative to.
        methods: those that are to be trained.

    Raises:
        InputError: see `read_joint` and `complete`; the classes are not those of the config; a
            frame is missing; or the masks do not allow a method.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose another folder for the annotations")
    data = read_joint(source)
    if dataset.class_list is not None:
        FileClasses.of(data.categories, str(source)).labels(dataset.class_list)
    check_methods(data, methods)
    for image in data.images:
        existing_image(Path(images) / image["file_name"])
    types = data.mask_types
    forms = list(dict.fromkeys(["joint", *(method.form for method in data.methods)]))
    head = {"categories": data.categories, "videos": data.videos, "images": data.images}
    kept = incomplete = tracks = 0
    limit = min(dataset.video_limit, dataset.frame_limit)
    with scratch_directory(out) as scratch:
        texts = Texts(unpacked(data.path, scratch))
        folder = scratch / "annotations"
        folder.mkdir()
        with ExitStack() as stack:
            writers = {
                form: stack.enter_context(form_file(folder / f"{form}.json", head))
                for form in forms
            }
            streams = {
                name: stack.enter_context((folder / f"video_{name}.json").open("wb"))
                for name in types
            }
            for stream in streams.values():
                write_head(stream, {key: head[key] for key in ("categories", "videos")})
            for video, items in _by_video(data, texts):
                whole = [item for item in items if all(f"{name}_mask" in item for name in types)]
                incomplete += len(items) - len(whole)
                found = [a for a in whole if a.get("occlude_rate", 0.0) < dataset.frame_limit]
                kept += len(found)
                ids = np.array([item["image_id"] for item in found], np.int64)
                for form, writer in writers.items() if found else ():
                    made = (make_form(item, form, types, dataset.joint_box) for item in found)
                    writer.add([orjson.dumps(item) for item in made], ids)
                new = _tracks(video, data, found, types, limit)
                for name, stream in streams.items():
                    for number, item in enumerate(new[name], start=tracks + 1):
                        stream.write(SEPARATOR if number > 1 else b"")
                        stream.write(orjson.dumps({**item, "id": number}))
                tracks += len(new[types[0]])
            for stream in streams.values():
                finish(stream)
        move_files(folder, out)
    return Prepared(
        out,
        videos=len(data.videos),
        frames=len(data.images),
        kept=kept,
        annotations=len(data.image),
        incomplete=incomplete,
        tracks=tracks,
        mask_types=types,
        notes=_notes(data, incomplete),
    )


def check_methods(data: JointFile, methods: Sequence[Method]) -> None:
    """Checks that the masks of a file allow some methods.

    Raises:
        InputError: they do not; with those that they allow.
    """
    for method in methods:
        if method not in data.methods:
            (name,) = data.mask_types
            raise InputError(
                f"{data.path}: has only {name} masks, but {method.value} needs "
                f"{' and '.join(method.masks)} ones; set methods: "
                f"[{', '.join(each.value for each in data.methods)}]"
            )


def _by_video(data: JointFile, texts: Texts) -> Iterator[tuple[Json, list[Json]]]:
    """The completed annotations of every video, in file order."""
    order = np.argsort(data.video, kind="stable")
    bounds = np.searchsorted(data.video[order], np.arange(len(data.videos) + 1))
    for place, video in enumerate(data.videos):
        rows = order[bounds[place] : bounds[place + 1]]
        items = [
            texts.load(offset, length)
            for offset, length in zip(
                data.offsets[rows].tolist(), data.lengths[rows].tolist(), strict=True
            )
        ]
        frames = [data.images[row] for row in data.image[rows].tolist()]
        for item in items:
            item["video_id"] = video["id"]
            if data.single:
                # Objects of one frame need no track; their own ids tell them apart.
                item["instance_id"] = item["id"]
            _need(item, ("instance_id",), f"{data.path}: annotation {shown(item['id'])}")
        sizes = [(frame["height"], frame["width"]) for frame in frames]
        yield video, complete(items, sizes, data.path)


def _tracks(
    video: Json,
    data: JointFile,
    items: Sequence[Json],
    types: tuple[MaskType, ...],
    limit: float,
) -> dict[MaskType, list[Json]]:
    document = {
        "categories": [],
        "videos": [video],
        "images": list(data.images_of[video["id"]]),
        "annotations": items,
    }
    try:
        return {name: video_ground_truth(document, name, limit)["annotations"] for name in types}
    except InputError as error:
        raise InputError(f"{data.path}: {error}") from None


def _notes(data: JointFile, incomplete: int) -> tuple[str, ...]:
    notes = []
    if len(data.mask_types) == 1:
        allowed = ", ".join(method.value for method in data.methods)
        notes.append(f"only {data.mask_types[0]} masks: only {allowed} can be trained")
    if incomplete:
        notes.append(
            f"{incomplete} annotations lack a mask that others have, and are skipped; add the "
            "missing masks, or remove that mask type from all annotations"
        )
    if data.trackless:
        notes.append(
            f"{data.trackless}: images are treated independently; a training pair is a frame with "
            "itself, tracking is not trained, and only image metrics are defined"
        )
    return tuple(notes)
