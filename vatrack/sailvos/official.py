"""The official annotations (spec 1.2), streamed: small lists whole, of annotations the numbers."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.common.json_lists import read_lists
from vatrack.common.json_types import Json
from vatrack.common.mask_forms import PIXEL_LIMIT, form_problem
from vatrack.common.rle import Ints
from vatrack.data.fields import is_side, problem, rate
from vatrack.data.known_forms import AMODAL, LISTING, OFFICIAL, wants
from vatrack.sailvos.layout import CLIP_MARK, safe_name

FIELDS: dict[str, frozenset[str]] = {
    "categories": frozenset({"id", "name"}),
    "videos": frozenset(),
    "images": frozenset({"id", "file_name", "frame_id", "width", "height"}),
    "annotations": frozenset(
        {
            "id",
            "image_id",
            "category_id",
            "bbox",
            "bbox_visible",
            "segmentation",
            "visible_mask",
            "area",
            "area_visible",
        }
        | {"occlude_rate", "obj_id"}
    ),
}
# Fields with numbers that every item has.
NUMBERS = {
    "categories": ("id",),
    "images": ("id", "frame_id", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "obj_id"),
}
BOXES = ("bbox", "bbox_visible")
MASKS = ("segmentation", "visible_mask")
# Fields of an annotation beside the numbers, by the finding code of a wrong value.
VALUES = (
    ("number-bad", ("instance_id", "area", "area_visible", "occlude_rate", "iscrowd")),
    ("box-bad", BOXES),
)


class Fault(NamedTuple):
    """What is wrong with an item: code of `vatrack validate`, fields concerned, a sentence."""

    code: str
    fields: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class AnnotationTable:
    """What is kept of N annotations, in file order. Each array is int64 [N] unless said otherwise.

    Attributes:
        ids: their ids; `images`: rows of their images in `Official.images`.
        objects: `obj_id`; `instances`: `instance_id`, or `obj_id` where there is none (quirk D11).
        rates: float64, `occlude_rate`.
        offsets, lengths: where their text stands in the file, in bytes.
    """

    ids: Ints
    images: Ints
    objects: Ints
    instances: Ints
    rates: npt.NDArray[np.float64]
    offsets: Ints
    lengths: Ints


@dataclass(frozen=True)
class Official:
    """An official annotation file.

    Attributes:
        categories, models, videos, images: as in the file.
        annotations: a table of the annotations.
    """

    path: Path
    categories: list[Json]
    models: list[Json]
    videos: list[Json]
    images: list[Json]
    annotations: AnnotationTable


@wants(path=(OFFICIAL, AMODAL, LISTING))
def read_official(path: Path) -> Official:
    """Reads official annotations and checks their form and numbers.

    Raises:
        InputError: not JSON to the end, a list or field is missing, a number is none (NaN, text,
            negative width), an id occurs twice, an image or annotation points at nothing, a
            category is not in the list, or a name is unsafe.
    """
    path = Path(path)
    lists: dict[str, list[Json]] = {"categories": [], "models": [], "videos": [], "images": []}
    columns = {
        name: array("q")
        for name in ("id", "image_id", "obj_id", "instance_id", "category_id", "offset", "length")
    }
    rates = array("d")
    for listed in read_lists(path, required=FIELDS):
        item = listed.value
        if listed.section == "annotations":
            check_annotation(item, path)
            values = {
                "instance_id": item["obj_id"],
                **item,
                "offset": listed.offset,
                "length": listed.length,
            }
            for name, column in columns.items():
                column.append(values[name])
            rates.append(rate(item["occlude_rate"]))
        elif listed.section in lists:
            check_fields(listed.section, item, path)
            lists[listed.section].append(item)
    for section in ("categories", "images"):
        _unique(np.array([item["id"] for item in lists[section]], np.int64), section, path)
    official = Official(path, **lists, annotations=_table(columns, rates, lists["images"], path))
    _unique(official.annotations.ids, "annotations", path)
    _check_frames(official)
    _check_categories(official, np.frombuffer(columns["category_id"], np.int64))
    return official


def field_faults(section: str, item: Json) -> Iterator[Fault]:
    """What is wrong with the fields of an item: one is missing, or a number is not whole."""
    missing = FIELDS.get(section, frozenset()) - item.keys()
    if missing:
        fields = tuple(sorted(missing))
        yield Fault(
            "field-missing",
            fields,
            f"required fields missing: {', '.join(fields)}; download the file again",
        )
    for name in NUMBERS.get(section, ()):
        if name in item and (text := problem(name, item[name])):
            yield Fault("number-bad", (name,), text)
    if section == "images" and is_side(item.get("width")) and is_side(item.get("height")):
        width, height = item["width"], item["height"]
        if width * height >= PIXEL_LIMIT:
            text = f"{width} x {height} is too large for an image; correct width and height"
            yield Fault("number-bad", ("width", "height"), text)


def value_faults(item: Json) -> Iterator[Fault]:
    """What is wrong with the values of an annotation, as far as they are there."""
    for code, names in VALUES:
        for name in names:
            if name in item and (text := problem(name, item[name])):
                yield Fault(code, (name,), text)
    for name in MASKS:
        if name in item and (text := form_problem(item[name])):
            yield Fault("rle-bad", (name,), f"{name} {text}")


def check_fields(section: str, item: Json, path: Path) -> None:
    """Checks the fields of an item.

    Raises:
        InputError: one is missing, or a number is not whole.
    """
    for fault in field_faults(section, item):
        raise InputError(f"{path}: {section}, id {item.get('id')}: {fault.text}")


def check_annotation(item: Json, path: Path) -> None:
    """Checks the fields and values of an annotation.

    Raises:
        InputError: a field is missing, or a value cannot be used.
    """
    check_fields("annotations", item, path)
    for fault in value_faults(item):
        raise InputError(f"{path}: annotation {item['id']}: {fault.text}")


def _table(
    columns: Mapping[str, array[int]], rates: array[float], images: list[Json], path: Path
) -> AnnotationTable:
    numbers = {name: np.frombuffer(column, np.int64) for name, column in columns.items()}
    ids = np.array([image["id"] for image in images], np.int64)
    order = np.argsort(ids, kind="stable")
    found = np.searchsorted(ids, numbers["image_id"], sorter=order)
    rows = order[np.minimum(found, len(ids) - 1)] if len(ids) else np.full(len(found), -1)
    lost = np.flatnonzero(ids[rows] != numbers["image_id"]) if len(ids) else np.arange(len(found))
    if len(lost):
        annotation, image = numbers["id"][lost[0]], numbers["image_id"][lost[0]]
        raise InputError(
            f"{path}: annotation {annotation}: its image {image} is not in the list of images; "
            "correct it"
        )
    return AnnotationTable(
        numbers["id"],
        rows,
        numbers["obj_id"],
        numbers["instance_id"],
        np.frombuffer(rates, np.float64),
        numbers["offset"],
        numbers["length"],
    )


def _unique(ids: Ints, section: str, path: Path) -> None:
    found, counts = np.unique(ids, return_counts=True)
    if len(found) != len(ids):
        twice = found[counts > 1][0]
        raise InputError(f"{path}: {section}: id {twice} occurs more than once; ids must be unique")


def _check_frames(official: Official) -> None:
    """Videos are listed once, every image is of one of them, and no frame is in two images."""
    path = official.path
    names = [video_name(video, path) for video in official.videos]
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise InputError(f"{path}: videos: the name {twice!r} occurs more than once; rename one")
    frames: dict[str, dict[str, int]] = {name: {} for name in names}
    for image in official.images:
        video, file = image_file(image, path)
        if video not in frames:
            raise InputError(
                f"{path}: image {image['id']}: its video is not in the list of videos "
                f"({image['file_name']}); add it"
            )
        # Compared without suffix: a raw frame may have been converted.
        first = frames[video].setdefault(Path(file).stem, image["id"])
        if first != image["id"]:
            raise InputError(
                f"{path}: image {image['id']}: its frame {image['file_name']} is also the frame of "
                f"image {first}; remove one"
            )


def _check_categories(official: Official, used: Ints) -> None:
    unknown = np.flatnonzero(~np.isin(used, [category["id"] for category in official.categories]))
    if len(unknown):
        annotation, category = official.annotations.ids[unknown[0]], used[unknown[0]]
        what = f"{official.path}: annotation {annotation}"
        raise InputError(f"{what}: category {category} is not in the list of categories; add it")


def video_name(video: Mapping[str, Any], path: Path) -> str:
    """The name of an official video, under `name` or `vid_name` (quirk D11).

    Raises:
        InputError: there is none, or two, or it is unsafe as the name of a folder or clip.
    """
    names = [video[key] for key in ("name", "vid_name") if video.get(key) is not None]
    if not names or names[0] != names[-1]:
        found = f"two names, {sorted(map(str, names))}" if names else "no name"
        raise InputError(
            f"{path}: video {video.get('id')} has {found}; give it one name, as `name` or "
            "`vid_name`"
        )
    name = safe_name(names[0], f"{path}: video {video.get('id')}")
    if name.startswith("."):
        raise InputError(
            f"{path}: video {name!r} starts with a dot (hidden in many programs); rename it"
        )
    if CLIP_MARK in name:
        raise InputError(
            f"{path}: video {name!r} has {CLIP_MARK!r} in its name, which separates video and clip "
            "names; rename it"
        )
    return name


def image_file(image: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """Video and bare file name of an official image, `<video>/images/<file>`.

    Raises:
        InputError: its `file_name` has another form, or an unsafe name in it.
    """
    names, what = str(image["file_name"]).split("/"), f"{path}: image {image['id']}"
    if len(names) != 3 or names[1] != "images":
        raise InputError(
            f"{what}: file_name {image['file_name']!r} has another form; write "
            "<video>/images/<file>"
        )
    return safe_name(names[0], what), safe_name(names[2], what)
