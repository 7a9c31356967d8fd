"""What is checked, by finding code: how bad a finding is, what it means, how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Check:
    """What a finding code stands for.

    Attributes:
        severity: error: the pipeline would fail or train on wrong data; warning: it works, but this
            should be looked at; note: good to know.
        meaning: what is the case, as the rest of a sentence after a count.
        fix: what to do.
    """

    severity: Severity
    meaning: str
    fix: str


_DOWNLOAD = "fetch the file again"
_UNPACK = "unpack or copy them again"
_MAKE = "fetch or make the annotations again"

# By code, in the order in which they are shown: first what lies behind most of the others.
CHECKS: dict[str, Check] = {
    "json-broken": Check(
        "error",
        "annotation files are missing, cut off or not JSON; what follows there is unchecked",
        _DOWNLOAD,
    ),
    "list-missing": Check("error", "lists are missing or empty in the annotation files", _DOWNLOAD),
    "field-missing": Check("error", "entries lack a field", _DOWNLOAD),
    "number-bad": Check(
        "error", "entries have text, a negative or another unfit value in place of a number", _MAKE
    ),
    "box-bad": Check(
        "error", "boxes are not four numbers, or have a negative width or height", _MAKE
    ),
    "rle-bad": Check("error", "masks are no run-length codes that fill their own size", _MAKE),
    "rle-size": Check("error", "masks have another size than their image", _MAKE),
    "id-twice": Check("error", "ids occur more than once", _MAKE),
    "category-list": Check(
        "error",
        "files do not list the classes of the config (SAIL-VOS's in their order), or not soundly",
        "correct the list, or dataset.classes",
    ),
    "category-unknown": Check(
        "error",
        "annotations are of a category that is not listed",
        "remove them, or correct their category",
    ),
    "image-unknown": Check("error", "annotations are of an image that is not listed", _DOWNLOAD),
    "video-unknown": Check("error", "images lie in a video that is not listed", _DOWNLOAD),
    "video-name": Check(
        "error",
        "videos have no name, two names, or one that no folder or clip can have",
        "rename them, their folders too",
    ),
    "video-twice": Check("error", "video names occur more than once in a file", _DOWNLOAD),
    "video-in-both": Check(
        "error",
        "videos are in more than one subset",
        "keep each in one, or validation means nothing",
    ),
    "image-place": Check(
        "error",
        "images have a file name that is not <video>/images/<name>.bmp (or .png)",
        "correct it",
    ),
    "image-twice": Check(
        "error", "frames are listed more than once", "remove all but one, with their annotations"
    ),
    "frame-id-gap": Check(
        "error",
        "videos have frame ids with gaps or repetitions",
        "number their frames 0, 1, 2, ...",
    ),
    "image-size": Check(
        "error", "images have another size than the first of their video", "correct the sizes"
    ),
    "object-twice": Check(
        "error", "objects occur more than once in an image", "remove all but one of the annotations"
    ),
    "object-category": Check(
        "error", "objects change their category inside a video", "give each one category"
    ),
    "object-instance": Check(
        "error",
        "objects (obj_id) have several instance_ids in a video, or share one with another object",
        "give each object one instance_id of its own; cut clips tell objects apart by it",
    ),
    "mask-empty": Check("error", "amodal masks are empty", "remove these annotations"),
    "area-wrong": Check("error", "areas are not those of the masks", _MAKE),
    "box-wrong": Check("error", "boxes are not the tight ones of the masks", _MAKE),
    "box-outside": Check("error", "boxes reach out of their image", _MAKE),
    "visible-outside": Check("error", "visible masks reach out of the amodal ones", _MAKE),
    "rate-wrong": Check("error", "occlusion rates are not 1 - visible / amodal area", _MAKE),
    "raw-broken": Check(
        "error",
        "raw folders cannot be read or have no video in them",
        "correct the path or the permissions",
    ),
    "folder-missing": Check(
        "error", "video folders (<video>/images) are missing", "unpack these videos"
    ),
    "folder-case": Check(
        "error",
        "video folders exist only in other upper and lower case, or in another Unicode form",
        "rename the folders",
    ),
    "folder-unreadable": Check(
        "error", "video folders cannot be listed", "correct their permissions"
    ),
    "frame-missing": Check("error", "frames are listed in the annotations, but missing", _UNPACK),
    "frame-case": Check(
        "error",
        "frames exist only in other upper and lower case, or in another Unicode form",
        "rename the files",
    ),
    "frame-unreadable": Check(
        "error", "frames cannot be opened", "correct their permissions, or copy them again"
    ),
    "frame-empty": Check("error", "frames are empty files", _UNPACK),
    "frame-cut-off": Check("error", "frames are cut off", _UNPACK),
    "frame-format": Check("error", "frames are no BMP, PNG or JPEG images", _UNPACK),
    "frame-undecodable": Check("error", "frames cannot be decoded", _UNPACK),
    "frame-size": Check(
        "error", "frames have another size than the annotations say", "use both of one release"
    ),
    "frame-depth": Check(
        "warning",
        "frames have 16 bits a colour, of which the upper 8 are used",
        "save them with 8 bits if they look dark",
    ),
    "frame-alpha": Check(
        "warning",
        "frames have transparency, which is ignored: colours are used as stored",
        "save them without it if they look wrong",
    ),
    "frame-turned": Check(
        "warning",
        "frames have an eXIf orientation, which is ignored: pixels are used as stored",
        "do the masks lie on the objects?",
    ),
    "crowd": Check(
        "warning",
        "annotations are marked as crowds, which neither train nor count",
        "set iscrowd to 0",
    ),
    "visible-empty": Check(
        "warning", "annotations have nothing visible", "keep max_occlusion below 1, or remove them"
    ),
    "invisible-wrong": Check(
        "warning", "invisible masks are not amodal without visible", "no step reads them"
    ),
    "num-frames": Check(
        "warning",
        "videos have another number of images than their num_frames",
        "is something missing?",
    ),
    "video-frameless": Check(
        "error", "videos have no images", "add their frames, or remove them from the list"
    ),
    "video-empty": Check(
        "warning", "videos have no image", "is something missing? else remove them"
    ),
    "video-name-case": Check(
        "warning",
        "video names differ only in upper and lower case, or in their Unicode form",
        "rename one; some disks mix them up",
    ),
    "frame-shift": Check(
        "warning",
        "videos have files whose number is not frame_id + 3 as in SAIL-VOS",
        "is the order right?",
    ),
    "frame-ends": Check(
        "warning",
        "videos have not 3 files before and 6 after the annotated ones",
        "are all unpacked?",
    ),
    "file-gap": Check(
        "warning", "videos have gaps in the numbers of their files", "are all unpacked?"
    ),
    "file-case": Check(
        "warning",
        "file names differ only in upper and lower case, or in their Unicode form",
        "remove one; some disks mix them up",
    ),
    "file-both": Check(
        "warning", "frames exist as .bmp and as .png; the one that is listed is read", "remove one"
    ),
    "tracks-unknown": Check(
        "note",
        "files say nothing about tracks; every image stands alone, and only image metrics count",
        "nothing to do, or give videos and instance ids",
    ),
    "image-empty": Check("note", "images have no annotation", "nothing to do"),
    "num-objs": Check(
        "note",
        "videos have another number of annotated objects than their num_objs",
        "nothing to do",
    ),
    "video-id": Check(
        "note", "images have another video_id than the video of their path", "the path counts"
    ),
    "model-unknown": Check(
        "note", "model ids of annotations are not in the list of models", "nothing to do"
    ),
    "model-twice": Check(
        "note", "model ids occur more than once in the list of models", "nothing to do"
    ),
    "folder-extra": Check("note", "video folders are not in the annotations", "they are not used"),
    "folder-plain": Check(
        "note", "folders have no images/ and are not in the annotations", "they are not used"
    ),
    "file-extra": Check("note", "files in images/ are not frames", "they are not used"),
    "file-broken": Check(
        "note", "files that are not in the annotations are broken frames", "they are not used"
    ),
}
