"""The four annotation forms that the methods train on (spec 1.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from vatrack.common.errors import InputError
from vatrack.config.categories import CATEGORIES
from vatrack.config.classes import SAILVOS, ClassList, FileClasses
from vatrack.data.fields import is_whole
from vatrack.sailvos.official import Official

Json = dict[str, Any]


def category_numbers(official: Official, classes: ClassList | None = SAILVOS) -> dict[int, int]:
    """Official category ids to 1, 2, ... in the order of the classes (spec 1.5).

    Args:
        classes: those of the method; None: those of the file, in its order.

    Raises:
        InputError: SAIL-VOS's categories are not those of the method in their order; or another
            file has a class that is not in the list, or names that cannot be those of classes.
    """
    names = [category["name"] for category in official.categories]
    if classes != SAILVOS:
        found = FileClasses.of(official.categories, str(official.path))
        labels = found.labels(classes or found.classes)
        return {number: label + 1 for number, label in labels.items()}
    if names != list(CATEGORIES):
        pairs = zip_longest(names, CATEGORIES, fillvalue=...)
        differs = next(n for n, (found, known) in enumerate(pairs) if found != known)
        raise InputError(
            f"{official.path}: its {len(names)} categories are not the {len(CATEGORIES)} of the "
            f"method in their order "
            f"(first difference at category {differs + 1}): {', '.join(CATEGORIES)}; name other "
            f"classes in dataset.classes (data: those of the file)"
        )
    return {category["id"]: number for number, category in enumerate(official.categories, start=1)}


def renumber(items: Sequence[Json], key: str, numbers: Mapping[int, int]) -> list[Json]:
    """Items with the category under `key` renumbered; other categories, of models, stay."""
    return [
        {**item, key: numbers[item[key]]}
        if is_whole(item.get(key)) and item[key] in numbers
        else item
        for item in items
    ]


def _amodal(annotation: Json) -> Json:
    return annotation


def _visible(annotation: Json) -> Json:
    return {
        **annotation,
        "segmentation": annotation["visible_mask"],
        "amodal_mask": annotation["segmentation"],
        "bbox": annotation["bbox_visible"],
        "bbox_amodal": annotation["bbox"],
        "area": annotation["area_visible"],
        "area_amodal": annotation["area"],
    }


def _joint(annotation: Json) -> Json:
    kept = {
        key: value for key, value in annotation.items() if key not in ("area", "invisible_mask")
    }
    return {
        **kept,
        "segmentation": [annotation["segmentation"], annotation["visible_mask"]],
        "amodal_mask": annotation["segmentation"],
        "area_amodal": annotation["area"],
    }


def _joint_visible_box(annotation: Json) -> Json:
    return {
        **_joint(annotation),
        "bbox": annotation["bbox_visible"],
        "bbox_amodal": annotation["bbox"],
    }


def _joint_two_boxes(annotation: Json) -> Json:
    boxes = [annotation["bbox"], annotation["bbox_visible"]]
    return {**_joint(annotation), "bbox": boxes, "bbox_amodal": annotation["bbox"]}


FORMS = ("visible", "amodal", "joint", "joint-2bbox")


def form_maker(form: str, joint_box: str) -> Callable[[Json], Json]:
    """The function that turns an annotation with amodal mask, box and area into a form.

    Args:
        form: one of `FORMS`, as `Method.form`.
        joint_box: "amodal" or "visible", the box of the form `joint` (spec 1.5: the paper's VATrack
            has the amodal one).
    """
    joint = {"amodal": _joint, "visible": _joint_visible_box}[joint_box]
    return {
        "visible": _visible,
        "amodal": _amodal,
        "joint": joint,
        "joint-2bbox": _joint_two_boxes,
    }[form]
