"""The forms of the JSON files that the commands read and write, and what tells them apart.

A form is told by what is there, never by what is missing alone, so that a file which lacks a field
keeps the message about that field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vatrack.common.counted import few
from vatrack.common.file_forms import FileForm, FormTable, Outline
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.text_files import NPZ

# As `common.images.SUFFIXES`; that module loads OpenCV, which commands on JSON do without.
IMAGES = (".bmp", ".png", ".jpg", ".jpeg")
DETECTION = frozenset({"image_id", "category_id", "score"})
# What `vatrack convert` keeps or adds in every annotation; files of other origin have no `obj_id`.
CONVERTED = frozenset(
    {"video_id", "instance_id", "obj_id", "occlude_rate", "area_visible", "bbox_visible"}
)

JOINT = FileForm(
    "an annotation file in the joint form",
    "give joint.json from `vatrack convert` or `vatrack prepare`, or your own (docs/formats.md)",
)
TRACKS = FileForm(
    "a file of tracks for the video metrics",
    "give video_amodal.json or video_visible.json from `vatrack convert` or `vatrack prepare`, or "
    "leave the option out",
)
OFFICIAL = FileForm(
    "an official SAIL-VOS annotation file",
    "give train.json or valid.json of the download, or of `vatrack annotate`",
)
INDEX = FileForm("a frame index", "give the file from `vatrack index`")
STRUCTURE = FileForm("a clip dictionary", "give the file from `vatrack cuts structure`")
PREDICTIONS = FileForm(
    "a file of predictions",
    "give JSON Lines (one prediction per line) or a JSON array of predictions (docs/formats.md)",
    by_line=True,
)
SCORES = FileForm("a file of content scores", "give the file from `vatrack cuts score`")
SHARD = FileForm(NPZ, "give the files from `vatrack evaluate --shard`")
LOG = FileForm("a training log (metrics.jsonl)")
METRICS = FileForm("a file of metrics", "give metrics.json from `vatrack evaluate`")
DETAILS = FileForm(
    "a file of metrics by class and video", "give the file from `vatrack evaluate --details`"
)
LISTING = FileForm("a list of frames without annotations")
AMODAL = FileForm("an annotation file in the form amodal.json")
COCO = FileForm("a COCO results file (convert it with `vatrack import-predictions`)")

# What no other command's output may take the place of.
DATA = (
    JOINT,
    TRACKS,
    OFFICIAL,
    INDEX,
    STRUCTURE,
    PREDICTIONS,
    SCORES,
    LOG,
    METRICS,
    DETAILS,
    LISTING,
    AMODAL,
    COCO,
)


def _of_annotation(item: Any) -> FileForm | None:
    if not isinstance(item, Mapping):
        return None
    if "image_id" not in item:
        return TRACKS if "segmentations" in item else None
    if "amodal_mask" in item:
        return JOINT
    if "obj_id" in item and "video_id" not in item:
        return OFFICIAL
    visible, other = item.get("visible_mask"), item.get("segmentation")
    if visible is not None and "obj_id" not in item and other in (None, [visible]):
        return JOINT
    # Both are equal while nothing is hidden, and in files that have visible masks alone.
    converted = isinstance(other, Mapping) and item.keys() >= CONVERTED
    return AMODAL if converted and visible is not None and other != visible else None


def _of_object(found: Outline) -> FileForm | None:
    first = found.first
    if first and found.lists == first.keys():
        items = [item for item in first.values() if item is not None]
        if items and all(map(_is_image, items)):
            return STRUCTURE
        if items and all(map(_is_indexed, items)):
            return INDEX
    if {"video", "frames", "scores"} <= first.keys():
        return SCORES
    if {"per_class", "per_video"} <= first.keys():
        return DETAILS
    if first and not found.lists and all(name.count("/") >= 2 for name in first):
        return METRICS
    if {"images"} <= first.keys() <= {"images", "videos", "categories", "info", "licenses"}:
        return LISTING
    if form := _of_detection(first):
        return form
    if first.keys() & DETECTION:  # one prediction that lacks a field
        return None
    shown = few((f"`{name}`" for name in first), 4) or "none"
    return FileForm(f"one JSON object (keys: {shown})", vague=True)


def _is_image(item: Any) -> bool:
    return isinstance(item, str) and item.lower().endswith(IMAGES)


def _is_indexed(item: Any) -> bool:
    """Whether it is a video of a frame index."""
    frames = item.get("frames") if isinstance(item, Mapping) and "name" in item else None
    return isinstance(frames, list) and all(
        isinstance(frame, Mapping) and "file" in frame for frame in frames[:1]
    )


def _of_detection(item: Any) -> FileForm | None:
    if not isinstance(item, Mapping):
        return None
    if {"step", "epoch", "time"} <= item.keys():
        return LOG
    if not item.keys() >= DETECTION:
        return None
    # A `track_id` tells nothing: `vatrack export-predictions --to coco` writes it, too.
    ours = any(name in item for name in (*MASK_TYPES, "bbox_visible"))
    return COCO if "segmentation" in item and not ours else PREDICTIONS


TABLE = FormTable("annotations", _of_annotation, _of_object, _of_detection)
form_of = TABLE.form_of
wants = TABLE.wants
wanted = TABLE.wanted
