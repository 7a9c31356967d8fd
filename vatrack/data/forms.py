"""The four annotation forms that the methods train on (spec 1.5)."""

from __future__ import annotations

from collections.abc import Callable

from vatrack.common.json_types import Json


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
