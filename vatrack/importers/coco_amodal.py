"""COCO-style amodal annotations: KINS (both generations), COCOA-cls, D2SA, AIStron, AISFormer,
UOAIS and files in VATrack's own keys.

The same thing has many names; the first of each tuple that an annotation has is taken. The file's
boxes and areas are not used, because sources disagree whether they are amodal: all are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.foreign import VISIBLE_PART
from vatrack.common.json_types import Json
from vatrack.importers.dataset import Dataset, Object, Settings, required
from vatrack.importers.listed import TRACK, Lists, read_all
from vatrack.importers.writing import is_absent

AMODAL = ("a_segm", "amodal_seg", "amodal_mask", "segmentation")
VISIBLE = (
    "i_segm",
    "inmodal_seg",
    "visible_mask",
    "visible_seg",
    "i_segmentation",
    "segm_visible",
)
HIDDEN = ("invisible_mask", "occluded_mask", "occlusion_mask")
# Of the visible part: 0 tells an object that is hidden from one whose mask was left out.
VISIBLE_AREA = ("i_area", "visible_area", "area_visible")


def read(settings: Settings) -> Dataset:
    """Reads files of one class list.

    Images without a list `videos` become videos of one frame. Image ids may be equal in several
    files: each file's annotations belong to its own images.
    """
    lists = read_all(settings)
    single = len(lists.frames.videos) == len(lists.frames.images)
    lacks = "tracks (each image becomes a video of one frame)" if single else ""
    return lists.dataset(_objects(lists, single), lacks=lacks, whole_if_absent=True)


def _objects(lists: Lists, single: bool) -> Iterator[Object]:
    partly = whole = False  # whether an annotation can tell what is hidden; whether one is there
    unclear = 0
    for where, item, image in lists.annotations():
        whole = True
        partly = partly or any(key in item for key in (*VISIBLE, *HIDDEN))
        amodal, visible, hidden = (_first(item, keys) for keys in (AMODAL, VISIBLE, HIDDEN))
        if visible is None and any(item.get(key) in ([], [[]]) for key in VISIBLE):
            if any(item.get(key) == 0 for key in VISIBLE_AREA):
                size = [image["height"], image["width"]]
                visible = {"size": size, "counts": [size[0] * size[1]]}
            elif amodal is not None and hidden is None:
                unclear += 1
        yield Object(
            where,
            image,
            required(item, "category_id", where),
            track=None if single else _track(item, where),
            amodal=amodal,
            visible=visible,
            hidden=hidden,
            crowd=item.get("iscrowd", 0),
            fields={"source_id": item["id"]} if "id" in item else {},
        )
    if unclear:
        lists.notes.append(
            f"{counted(unclear, 'object')} with an empty list as visible mask and no area of it "
            "counted as not hidden; for hidden ones, add `i_area`: 0 and import the file again"
        )
    if whole and not partly:
        lists.notes.append(
            "the source has no visible masks and no hidden parts, so all objects count as fully "
            f"visible; if it is plain COCO, {VISIBLE_PART} and import it again"
        )


def _track(item: Json, where: str) -> Any:
    key = next((key for key in TRACK if item.get(key) is not None), None)
    return None if key is None else required(item, key, where)


def _first(item: Json, keys: tuple[str, ...]) -> Any:
    """The value under the first of the keys that has one."""
    return next((item[key] for key in keys if not is_absent(item.get(key))), None)
