"""Own annotations (a joint JSON, contract 3), checked to the end whatever is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.frame_folders import lacks_all
from vatrack.common.image_headers import BadImage
from vatrack.common.images import existing_image
from vatrack.common.json_lists import read_lists
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.paths import real
from vatrack.common.similar import did_you_mean
from vatrack.config.classes import ClassList
from vatrack.config.methods import Method
from vatrack.data.fields import is_side, is_whole, read_masks
from vatrack.data.joint.faults import (
    FIELDS,
    SINGULAR,
    JointFault,
    missing,
    misspelt,
    place_of,
)
from vatrack.data.joint.file import UNKNOWN, JointFile, joint_faults
from vatrack.data.joint.masks import mask_faults
from vatrack.data.joint.prepare import method_fault
from vatrack.validate.findings import Findings
from vatrack.validate.frames import Frame, detail_of
from vatrack.validate.rows import changing, repeated


def check_joint(
    path: Path,
    images: Path,
    classes: ClassList | None,
    masks: bool,
    findings: Findings,
    methods: Sequence[Method] = (),
) -> tuple[JointFile, list[Frame], ClassList | None]:
    """Checks one file and adds to `findings`; frames are looked for, not opened.

    Args:
        images: folder that the file names begin in.
        classes: those of the config; None: those of this file.
        masks: whether the two masks of an annotation are compared with each other.
        methods: those of the config; the masks must allow them.

    Returns:
        What is sound in the file; the frames that are there; the classes of the file, or `classes`
        where they are given.
    """
    data = JointFile(Path(path))
    try:
        for fault in joint_faults(data):
            findings.add(fault.finding, data.path, fault.place, fault.text)
    except InputError as error:
        findings.add("json-broken", data.path, detail=error.without(data.path))
        return data, list(_frames(data, Path(images), findings)), classes
    if wrong := method_fault(data, methods):
        findings.add(wrong.finding, data.path, wrong.place, wrong.text)
    _check_objects(data, findings)
    _check_items(data, masks, findings)
    if data.trackless:
        findings.add("tracks-unknown", data.path)
    if data.class_ids:
        try:
            data.classes.labels(classes or data.classes.classes)
            classes = classes or data.classes.classes
        except InputError as error:
            detail = error.without(data.path).splitlines()[0]
            findings.add("category-list", data.path, detail=detail)
    return data, list(_frames(data, Path(images), findings)), classes


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
        lambda number: missing("annotations", {"id": number}, "instance_id")[1:3],
    )
    rows = np.flatnonzero(known & (data.image >= 0))
    twice = rows[repeated(data.image[rows], data.instances[rows])]
    # A category that is not listed is a fault of its own.
    rows = rows[np.isin(data.category[rows], [item["id"] for item in data.categories])]
    changed = rows[changing(data.video[rows], data.instances[rows], data.category[rows])]

    def text(row: int, rest: str) -> tuple[str, str]:
        return f"annotation {data.ids[row]}", f"instance {data.instances[row]} {rest}"

    findings.add_all(
        "object-twice",
        data.path,
        twice.tolist(),
        lambda row: text(row, f"in image {data.images[data.image[row]]['id']}"),
    )
    findings.add_all(
        "object-category",
        data.path,
        changed.tolist(),
        lambda row: text(row, "had a different category before"),
    )


def _check_items(data: JointFile, compare: bool, findings: Findings) -> None:
    """The names of the fields of every item, and the masks of annotations whose image is known."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in data.images}
    types, lists = data.mask_types, set[str]()
    unknown = Counter[tuple[str, str, tuple[str, ...]]]()  # list, field, and fields like it
    first = dict[tuple[str, str, tuple[str, ...]], str]()
    for item in read_lists(data.path, lists=lists):
        section, value = item.section, item.value
        if section not in FIELDS:
            continue
        for name, near in misspelt(section, value):
            unknown[section, name, near] += 1
            first.setdefault((section, name, near), place_of(section, value))
        if section == "annotations":
            for fault in _mask_faults(value, types, sizes, compare):
                findings.add(fault.finding, data.path, fault.place, fault.text, fault.pixels)
    for name in sorted(lists - FIELDS.keys()):
        if hint := did_you_mean(name, FIELDS.keys() - lists):
            findings.add("field-unknown", data.path, "", f"unknown list `{name}`{hint}")
    for (section, name, near), count in unknown.items():
        detail = f"unknown field `{name}` ({counted(count, SINGULAR[section])})"
        place = first[section, name, near]
        findings.add("field-unknown", data.path, place, f"{detail}{did_you_mean(name, near)}")
    if "annotations" in lists and not data.total["annotations"]:
        findings.add("list-missing", data.path, "", "contains no annotations; add them")


def _mask_faults(
    value: Json,
    types: Collection[MaskType],
    sizes: Mapping[int, tuple[int, int]],
    compare: bool,
) -> Iterator[JointFault]:
    """What is wrong with the masks of an annotation.

    Args:
        types: the mask types that it should have.
        sizes: height and width of each image by its id.
    """
    place = place_of("annotations", value)
    image: Any = value.get("image_id")
    given = [name for name in MASK_TYPES if value.get(f"{name}_mask") is not None]
    for name in types if given else ():
        if name not in given:
            yield JointFault("mask-missing", place, f"has no {name}_mask; add it")
    size = sizes.get(image) if is_whole(image) else None
    if size is None:
        return
    found: Json = {"id": value.get("id"), "occlude_rate": value.get("occlude_rate")}
    for name in given:
        mask = value[f"{name}_mask"]
        try:
            counts, area = read_masks([mask], [size], [f"{name}_mask"])
        except InputError as error:
            said = mask.get("size") if isinstance(mask, dict) else None
            other = isinstance(said, list) and all(map(is_side, said)) and said != list(size)
            yield JointFault("rle-size" if other else "rle-bad", place, str(error))
            continue
        found[f"{name}_mask"] = {"size": size, "counts": counts[0]}
        found[f"area_{name}"] = int(area[0])
    yield from mask_faults(found, compare)


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
