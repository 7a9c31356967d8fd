"""Annotations of a joint JSON: completed from their masks, and in each form (spec 1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.json_types import Json
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import box_of
from vatrack.data.fields import annotation_problem, flag, rate, read_masks
from vatrack.data.forms import form_maker

# Computed from the masks, whatever the file says.
COMPUTED = frozenset(
    {"segmentation", "amodal_mask", "visible_mask", "bbox", "bbox_amodal", "bbox_visible"}
    | {"area", "area_amodal", "area_visible", "occlude_rate"}
)


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
