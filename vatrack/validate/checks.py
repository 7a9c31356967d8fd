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
        meaning: what is the case, as a sentence in the plural.
        fix: what to do.
    """

    severity: Severity
    meaning: str
    fix: str


_DOWNLOAD = "download the file again, or correct it"
_UNPACK = "unpack or copy them again"
_MAKE = "download or regenerate the annotations"
_ONE_SUBSET = "keep each video in one subset; otherwise validation metrics are meaningless"

# By code, in the order in which they are shown: first what lies behind most of the others.
CHECKS: dict[str, Check] = {
    "json-broken": Check(
        "error",
        "annotation files are not valid JSON, or truncated; the rest of them is not checked",
        _DOWNLOAD,
    ),
    "list-missing": Check("error", "lists are missing or empty in the annotation files", _DOWNLOAD),
    "field-missing": Check("error", "required fields are missing", _DOWNLOAD),
    "number-bad": Check(
        "error", "values are not numbers in their range, or not paths inside the folder", _MAKE
    ),
    "box-bad": Check(
        "error", "boxes are not four numbers, or have a negative width or height", _MAKE
    ),
    "rle-bad": Check("error", "masks are not valid run-length codes of their own size", _MAKE),
    "rle-size": Check("error", "masks do not have the size of their image", _MAKE),
    "id-twice": Check("error", "ids are not unique", _MAKE),
    "category-list": Check(
        "error",
        "category lists are damaged, or differ from the classes of the config (for SAIL-VOS also "
        "in their order)",
        "correct the list, or dataset.classes",
    ),
    "category-unknown": Check(
        "error",
        "annotations have a category that is not listed",
        "remove them, or correct their category",
    ),
    "image-unknown": Check("error", "annotations belong to an image that is not listed", _DOWNLOAD),
    "video-unknown": Check("error", "images belong to a video that is not listed", _DOWNLOAD),
    "video-name": Check(
        "error",
        "videos have no name, two names, or a name that is not allowed for folders or clips",
        "rename them and their folders",
    ),
    "video-twice": Check("error", "video names are not unique in a file", _DOWNLOAD),
    "video-in-both": Check(
        "error",
        "videos are in more than one subset",
        _ONE_SUBSET,
    ),
    "frame-in-both": Check("warning", "frames are in more than one subset", _ONE_SUBSET),
    "image-place": Check(
        "error",
        "file names of images are not of the form <video>/images/<name>.bmp (or .png)",
        "correct the file names",
    ),
    "image-twice": Check(
        "error",
        "frames are listed more than once",
        "keep one entry per frame, and remove the others with their annotations",
    ),
    "frame-id-gap": Check(
        "error",
        "frame ids of videos have gaps or repetitions",
        "number their frames 0, 1, 2, ...",
    ),
    "image-size": Check(
        "error", "images differ in size from the first one of their video", "correct the sizes"
    ),
    "object-twice": Check(
        "error",
        "objects have several annotations in an image",
        "keep one annotation per object and image",
    ),
    "object-category": Check(
        "error", "objects change their category within a video", "give each object one category"
    ),
    "object-instance": Check(
        "error",
        "objects (obj_id) have several instance_ids in a video, or share one with another object",
        "give each object one unique instance_id; clips identify objects by it",
    ),
    "mask-empty": Check("error", "amodal masks are empty", "remove these annotations"),
    "area-wrong": Check("error", "areas differ from the masks", _MAKE),
    "box-wrong": Check("error", "boxes are not the bounding boxes of the masks", _MAKE),
    "box-outside": Check("error", "boxes extend beyond their image", _MAKE),
    "visible-outside": Check("error", "visible masks extend beyond the amodal masks", _MAKE),
    "rate-wrong": Check("error", "occlusion rates differ from 1 - visible / amodal area", _MAKE),
    "raw-broken": Check(
        "error",
        "folders of frames cannot be read, or contain no video of the annotations",
        "correct the path or the permissions",
    ),
    "folder-missing": Check(
        "error", "video folders (<video>/images) are missing", "unpack these videos"
    ),
    "folder-case": Check(
        "error",
        "names of video folders differ in upper and lower case or in Unicode form",
        "rename the folders",
    ),
    "folder-unreadable": Check(
        "error", "video folders cannot be listed", "correct the permissions"
    ),
    "frame-missing": Check("error", "frames in the annotations do not exist", _UNPACK),
    "frame-case": Check(
        "error",
        "names of frames differ in upper and lower case or in Unicode form",
        "rename the files",
    ),
    "frame-unreadable": Check(
        "error", "frames cannot be opened", "correct the permissions, or copy them again"
    ),
    "frame-empty": Check("error", "frames are empty files", _UNPACK),
    "frame-cut-off": Check("error", "frames are truncated", _UNPACK),
    "frame-format": Check(
        "error",
        "frames are not BMP, PNG or JPEG images",
        "convert them to PNG, or unpack or copy them again",
    ),
    "frame-undecodable": Check("error", "frames cannot be decoded", _UNPACK),
    "frame-size": Check(
        "error",
        "frames do not have the size given in the annotations",
        "use frames and annotations of the same release",
    ),
    "frame-depth": Check(
        "warning",
        "frames have 16 bits per channel; only the upper 8 are used",
        "save them with 8 bits if they look dark",
    ),
    "frame-alpha": Check(
        "warning",
        "frames have an alpha channel, which is ignored",
        "remove it if the frames look wrong",
    ),
    "frame-turned": Check(
        "warning",
        "frames have an EXIF orientation, which is ignored",
        "check that the masks fit the objects",
    ),
    "crowd": Check(
        "warning",
        "crowd annotations count in video and track metrics only",
        "set iscrowd to 0 to use them",
    ),
    "visible-empty": Check(
        "warning",
        "objects have no visible pixel",
        "set max_occlusion below 1, or remove the annotations",
    ),
    "invisible-wrong": Check(
        "warning",
        "invisible masks differ from amodal minus visible",
        "nothing to do (they are not used)",
    ),
    "num-frames": Check(
        "warning",
        "videos do not have num_frames images",
        "check whether frames are missing",
    ),
    "video-frameless": Check(
        "error",
        "videos of your own annotations have no images",
        "add their frames, or remove them from the list",
    ),
    "video-empty": Check(
        "warning",
        "videos of SAIL-VOS annotations have no images",
        "check whether frames are missing; otherwise remove the videos",
    ),
    "video-name-case": Check(
        "warning",
        "video names differ only in upper and lower case or in Unicode form",
        "rename one; some file systems cannot tell them apart",
    ),
    "frame-shift": Check(
        "warning",
        "file numbers are not frame_id + 3 as in SAIL-VOS",
        "check the order of the frames",
    ),
    "frame-ends": Check(
        "warning",
        "videos do not have 3 files before and 6 after the annotated ones",
        "check that all frames are unpacked",
    ),
    "file-gap": Check(
        "warning", "file numbers of videos have gaps", "check that all frames are unpacked"
    ),
    "file-case": Check(
        "warning",
        "file names differ only in upper and lower case or in Unicode form",
        "remove one; some file systems cannot tell them apart",
    ),
    "file-both": Check(
        "warning", "frames exist as .bmp and as .png; the listed one is used", "remove one"
    ),
    "tracks-unknown": Check(
        "note",
        "annotation files have no tracks; images are independent, and only image metrics are "
        "defined",
        "nothing to do, or add videos and instance ids",
    ),
    "image-empty": Check("note", "images have no annotation", "nothing to do"),
    "num-objs": Check(
        "note",
        "videos do not have num_objs annotated objects",
        "nothing to do",
    ),
    "video-id": Check(
        "note",
        "video_id of images does not match the video in their path",
        "nothing to do (the path is used)",
    ),
    "model-unknown": Check(
        "note", "model ids of annotations are not in the list of models", "nothing to do"
    ),
    "model-twice": Check("note", "model ids in the list of models are not unique", "nothing to do"),
    "folder-extra": Check(
        "note", "video folders are not in the annotations", "nothing to do (they are not used)"
    ),
    "folder-plain": Check(
        "note",
        "folders have no images/ and are not in the annotations",
        "nothing to do (they are not used)",
    ),
    "file-extra": Check(
        "note", "files in images/ are not frames", "nothing to do (they are not used)"
    ),
    "file-broken": Check(
        "note",
        "files that are not in the annotations are damaged frames",
        "nothing to do (they are not used)",
    ),
}
