"""The kinds of findings: how bad each is, what it means, how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        severity: error: the pipeline would fail or train on wrong data; warning: it works, but this
            should be looked at; note: good to know.
        meaning: what is the case, as the rest of a sentence after a count.
        mend: what to do.
    """

    severity: Severity
    meaning: str
    mend: str


_FETCH = "fetch the file again"
_UNPACK = "unpack or copy them again"
_MAKE = "fetch or make the annotations again"

# By code, in the order in which they are shown: first what lies behind most of the others.
KINDS: dict[str, Kind] = {
    "json-broken": Kind(
        "error",
        "annotation files are missing, cut off or not JSON; what follows there is unchecked",
        _FETCH,
    ),
    "list-missing": Kind("error", "lists are missing or empty in the annotation files", _FETCH),
    "field-missing": Kind("error", "entries lack a field", _FETCH),
    "number-bad": Kind(
        "error", "entries have text, a negative or another unfit value in place of a number", _MAKE
    ),
    "box-bad": Kind(
        "error", "boxes are not four numbers, or have a negative width or height", _MAKE
    ),
    "rle-bad": Kind("error", "masks are no run-length codes that fill their own size", _MAKE),
    "rle-size": Kind("error", "masks have another size than their image", _MAKE),
    "id-twice": Kind("error", "ids occur more than once", _MAKE),
    "category-list": Kind(
        "error",
        "files do not list the 24 categories of the method in their order",
        "correct the list",
    ),
    "category-unknown": Kind(
        "error",
        "annotations are of a category that is not listed",
        "remove them, or correct their category",
    ),
    "image-unknown": Kind("error", "annotations are of an image that is not listed", _FETCH),
    "video-unknown": Kind("error", "images lie in a video that is not listed", _FETCH),
    "video-name": Kind(
        "error",
        "videos have no name, two names, or one that no folder or clip can have",
        "rename them, their folders too",
    ),
    "video-twice": Kind("error", "video names occur more than once in a file", _FETCH),
    "video-in-both": Kind(
        "error",
        "videos are in more than one subset",
        "keep each in one, or validation means nothing",
    ),
    "image-place": Kind(
        "error",
        "images have a file name that is not <video>/images/<name>.bmp (or .png)",
        "correct it",
    ),
    "image-twice": Kind(
        "error", "frames are listed more than once", "remove all but one, with their annotations"
    ),
    "frame-id-gap": Kind(
        "error",
        "videos have frame ids with gaps or repetitions",
        "number their frames 0, 1, 2, ...",
    ),
    "image-size": Kind(
        "error", "images have another size than the first of their video", "correct the sizes"
    ),
    "object-twice": Kind(
        "error", "objects occur more than once in an image", "remove all but one of the annotations"
    ),
    "object-category": Kind(
        "error", "objects change their category inside a video", "give each one category"
    ),
    "mask-empty": Kind("error", "amodal masks are empty", "remove these annotations"),
    "area-wrong": Kind("error", "areas are not those of the masks", _MAKE),
    "box-wrong": Kind("error", "boxes are not the tight ones of the masks", _MAKE),
    "box-outside": Kind("error", "boxes reach out of their image", _MAKE),
    "visible-outside": Kind("error", "visible masks reach out of the amodal ones", _MAKE),
    "rate-wrong": Kind("error", "occlusion rates are not 1 - visible / amodal area", _MAKE),
    "raw-broken": Kind(
        "error",
        "raw folders cannot be read or have no video in them",
        "correct the path or the permissions",
    ),
    "folder-missing": Kind(
        "error", "video folders (<video>/images) are missing", "unpack these videos"
    ),
    "folder-case": Kind(
        "error", "video folders exist only in other upper and lower case", "rename the folders"
    ),
    "folder-unreadable": Kind(
        "error", "video folders cannot be listed", "correct their permissions"
    ),
    "frame-missing": Kind("error", "frames are listed in the annotations, but missing", _UNPACK),
    "frame-case": Kind(
        "error", "frames exist only in other upper and lower case", "rename the files"
    ),
    "frame-unreadable": Kind(
        "error", "frames cannot be opened", "correct their permissions, or copy them again"
    ),
    "frame-empty": Kind("error", "frames are empty files", _UNPACK),
    "frame-cut-off": Kind("error", "frames are cut off", _UNPACK),
    "frame-format": Kind("error", "frames are neither BMP nor PNG pictures", _UNPACK),
    "frame-undecodable": Kind("error", "frames cannot be decoded", _UNPACK),
    "frame-size": Kind(
        "error", "frames have another size than the annotations say", "use both of one release"
    ),
    "crowd": Kind(
        "warning",
        "annotations are marked as crowds, which neither train nor count",
        "set iscrowd to 0",
    ),
    "visible-empty": Kind(
        "warning", "annotations have nothing visible", "keep max_occlusion below 1, or remove them"
    ),
    "invisible-wrong": Kind(
        "warning", "invisible masks are not amodal without visible", "no step reads them"
    ),
    "num-frames": Kind(
        "warning",
        "videos have another number of images than their num_frames",
        "is something missing?",
    ),
    "video-empty": Kind(
        "warning", "videos have no image", "is something missing? else remove them"
    ),
    "video-name-case": Kind(
        "warning",
        "video names differ only in upper and lower case",
        "rename one; some disks mix them up",
    ),
    "frame-shift": Kind(
        "warning",
        "videos have files whose number is not frame_id + 3 as in SAIL-VOS",
        "is the order right?",
    ),
    "frame-ends": Kind(
        "warning",
        "videos have not 3 files before and 6 after the annotated ones",
        "are all unpacked?",
    ),
    "file-gap": Kind(
        "warning", "videos have gaps in the numbers of their files", "are all unpacked?"
    ),
    "file-case": Kind(
        "warning",
        "file names differ only in upper and lower case",
        "remove one; some disks mix them up",
    ),
    "file-both": Kind(
        "warning", "frames exist as .bmp and as .png; the one that is listed is read", "remove one"
    ),
    "image-empty": Kind("note", "images have no annotation", "nothing to do"),
    "num-objs": Kind(
        "note",
        "videos have another number of annotated objects than their num_objs",
        "nothing to do",
    ),
    "video-id": Kind(
        "note", "images have another video_id than the video of their path", "the path counts"
    ),
    "model-unknown": Kind(
        "note", "model ids of annotations are not in the list of models", "nothing to do"
    ),
    "model-twice": Kind(
        "note", "model ids occur more than once in the list of models", "nothing to do"
    ),
    "folder-extra": Kind("note", "video folders are not in the annotations", "they are not used"),
    "folder-plain": Kind(
        "note", "folders have no images/ and are not in the annotations", "they are not used"
    ),
    "file-extra": Kind("note", "files in images/ are not frames", "they are not used"),
    "file-broken": Kind(
        "note", "files that are not in the annotations are broken frames", "they are not used"
    ),
}
