"""Own annotations (a joint JSON, contract 3), checked to the end whatever is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.frame_folders import lacks_all
from vatrack.common.image_headers import BadImage
from vatrack.common.images import existing_image
from vatrack.common.json_lists import read_lists
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.paths import real
from vatrack.config.classes import ClassList
from vatrack.data.fields import is_rate, is_side, is_whole, read_masks
from vatrack.data.joint.faults import missing, place_of
from vatrack.data.joint.file import UNKNOWN, JointFile, joint_faults
from vatrack.validate.findings import Findings
from vatrack.validate.frames import Frame, detail_of
from vatrack.validate.masks import is_inside

RATE_TOLERANCE = 1e-3


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
    data = JointFile(Path(path))
    try:
        for fault in joint_faults(data):
            findings.add(fault.finding, data.path, fault.place, fault.text)
    except InputError as error:
        findings.add("json-broken", data.path, detail=error.without(data.path))
        return data.total, list(_frames(data, Path(images), findings)), classes
    _check_objects(data, findings)
    _check_masks(data, masks, findings)
    if data.trackless:
        findings.add("tracks-unknown", data.path)
    if data.class_ids:
        try:
            data.classes.labels(classes or data.classes.classes)
            classes = classes or data.classes.classes
        except InputError as error:
            detail = error.without(data.path).splitlines()[0]
            findings.add("category-list", data.path, detail=detail)
    return data.total, list(_frames(data, Path(images), findings)), classes


def subsets_of(paths: Sequence[Path]) -> dict[str, Path]:
    """Annotation files by a name for each: its own, with as many folders as tell it from others.

    Example: `list(subsets_of([Path("a/b/x.json"), Path("a/c/x.json")])) == ["b/x.json",
    "c/x.json"]`

    Raises:
        InputError: a file is given twice, maybe by another path.
    """
    seen = set[Path]()
    for path in paths:
        if (whole := real(path)) in seen:
            raise InputError(f"--joint {path}: is given twice; give each file once")
        seen.add(whole)
    found = {}
    for path in paths:
        others = [other for other in paths if other != path]
        depth = 1
        while any(other.parts[-depth:] == path.parts[-depth:] for other in others):
            depth += 1
        found["/".join(path.parts[-depth:])] = path
    return found


def _check_objects(data: JointFile, findings: Findings) -> None:
    """Instance ids of annotations."""
    if data.single:
        return
    known = data.instances != UNKNOWN
    findings.add_all(
        "field-missing",
        data.path,
        data.ids[~known].tolist(),
        lambda number: missing("annotations", {"id": number}, "instance_id")[1:],
    )
    columns = (data.ids, data.instances, data.category, data.image, data.video)
    rows = (column[known & (data.image >= 0)].tolist() for column in columns)
    seen = set[tuple[int, int]]()
    category_of = dict[tuple[int, int], int]()
    for number, instance, category, image, video in zip(*rows, strict=True):
        name = f"annotation {number}"
        if (image, instance) in seen:
            detail = f"instance {instance} in image {data.images[image]['id']}"
            findings.add("object-twice", data.path, name, detail)
        seen.add((image, instance))
        if category_of.setdefault((video, instance), category) != category:
            findings.add("object-category", data.path, name, f"instance {instance}")


def _check_masks(data: JointFile, compare: bool, findings: Findings) -> None:
    """The masks of every annotation whose image is known."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in data.images}
    for item in read_lists(data.path):
        image = item.value.get("image_id")
        if item.section == "annotations" and is_whole(image) and image in sizes:
            name = place_of("annotations", item.value)
            for code, detail in _mask_faults(item.value, sizes[image], compare):
                findings.add(code, data.path, name, detail)


def _mask_faults(value: Json, size: tuple[int, int], compare: bool) -> Iterator[tuple[str, str]]:
    """Codes and details of what is wrong with the masks of an annotation."""
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
            yield "rle-size" if other else "rle-bad", str(error)
            continue
        found[mask_type], areas[mask_type] = counts[0], int(area[0])
    if areas.get("amodal", areas.get("visible", 1)) == 0:
        yield "mask-empty", ""
    if not compare or len(found) < 2 or not areas["amodal"]:
        return
    visible, amodal = (
        {"size": size, "counts": found[mask_type]} for mask_type in reversed(MASK_TYPES)
    )
    if not is_inside(visible, amodal, areas["amodal"]):
        yield "visible-outside", ""
    rate: Any = value.get("occlude_rate")
    real = 1 - areas["visible"] / areas["amodal"]
    if is_rate(rate) and abs(rate - real) > RATE_TOLERANCE:
        yield "rate-wrong", f"{rate:g}, not {real:.6g}"


def _frames(data: JointFile, folder: Path, findings: Findings) -> Iterator[Frame]:
    """The frames that are there."""
    if problem := lacks_all(folder, (image["file_name"] for image in data.images), data.path):
        findings.add("raw-broken", folder, detail=problem)
        return
    for image in data.images:
        try:
            path = existing_image(folder / image["file_name"])
        except BadImage as error:
            path = folder / image["file_name"]
            findings.add(f"frame-{error.fault}", path, detail=detail_of(error, path))
            continue
        yield Frame(str(path), (image["height"], image["width"]), listed=True)
