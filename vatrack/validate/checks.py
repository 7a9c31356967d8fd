"""What is checked, by finding code: how bad a finding is, what it means, how to fix it."""

from __future__ import annotations

from vatrack.validate.annotation_checks import ANNOTATION_CHECKS
from vatrack.validate.sentences import Check

_UNPACK = "unpack or copy [it|them] again"
_CASE = "in upper and lower case or in Unicode form"
_NOTHING = "nothing to do"
_UNUSED = f"{_NOTHING} ([it is|they are] not used)"

# By code, in the order in which they are shown: first what lies behind most of the others.
CHECKS: dict[str, Check] = {
    **ANNOTATION_CHECKS,
    "raw-broken": Check(
        "error",
        "folder",
        "of frames cannot be read, or [contains|contain] no video of the annotations",
        "correct the path or the permissions",
    ),
    "folder-missing": Check(
        "error",
        "video folder",
        "(<video>/images) [is|are] missing",
        "unpack [this video|these videos]",
    ),
    "folder-case": Check(
        "error",
        "name",
        f"of [a video folder differs|video folders differ] {_CASE}",
        "rename the [folder|folders]",
    ),
    "folder-unreadable": Check(
        "error", "video folder", "cannot be listed", "correct the permissions"
    ),
    "frame-missing": Check("error", "frame", "in the annotations [does|do] not exist", _UNPACK),
    "frame-case": Check(
        "error",
        "name",
        f"of [a frame differs|frames differ] {_CASE}",
        "rename the [file|files]",
    ),
    "frame-unreadable": Check(
        "error",
        "frame",
        "cannot be opened",
        "correct [its name or|their names or] permissions, or copy [it|them] again",
    ),
    "frame-empty": Check("error", "frame", "[is an empty file|are empty files]", _UNPACK),
    "frame-cut-off": Check("error", "frame", "[is|are] truncated", _UNPACK),
    "frame-format": Check(
        "error",
        "frame",
        "[is not a BMP, PNG or JPEG image|are not BMP, PNG or JPEG images]",
        f"convert [it|them] to PNG, or {_UNPACK}",
    ),
    "frame-undecodable": Check("error", "frame", "cannot be decoded", _UNPACK),
    "frame-size": Check(
        "error",
        "frame",
        "[does|do] not have the size given in the annotations",
        "use frames and annotations of the same release",
    ),
    "frame-depth": Check(
        "warning",
        "frame",
        "[has|have] 16 bits per channel; only the upper 8 are used",
        "save [it|them] with 8 bits if [it looks|they look] dark",
    ),
    "frame-alpha": Check(
        "warning",
        "frame",
        "[has|have] an alpha channel, which is ignored",
        "remove it if the [frame looks|frames look] wrong",
    ),
    "frame-turned": Check(
        "warning",
        "frame",
        "[has|have] an EXIF orientation, which is ignored",
        "check that the masks fit the objects",
    ),
    "crowd": Check(
        "warning",
        "crowd annotation",
        "[counts|count] in video and track metrics only",
        "set iscrowd to 0 to use [it|them]",
    ),
    "visible-empty": Check(
        "warning",
        "object",
        "[has|have] no visible pixel",
        "set max_occlusion below 1, or remove the annotations",
    ),
    "invisible-wrong": Check(
        "warning", "invisible mask", "[differs|differ] from amodal minus visible", _UNUSED
    ),
    "num-frames": Check(
        "warning",
        "video",
        "[does|do] not have num_frames images",
        "check whether frames are missing",
    ),
    "video-frameless": Check(
        "error",
        "video",
        "of your own annotations [has|have] no images",
        "add [its|their] frames, or remove [it|them] from the list",
    ),
    "video-empty": Check(
        "warning",
        "video",
        "of SAIL-VOS annotations [has|have] no images",
        "check whether frames are missing; otherwise remove the [video|videos]",
    ),
    "video-name-case": Check(
        "warning",
        "video name",
        f"[differs from another|differ] only {_CASE}",
        "rename one; some file systems cannot tell them apart",
    ),
    "frame-shift": Check(
        "warning",
        "video",
        "[has|have] file numbers that are not frame_id + 3 as in SAIL-VOS",
        "check the order of the frames",
    ),
    "frame-ends": Check(
        "warning",
        "video",
        "[does|do] not have 3 files before and 6 after the annotated ones",
        "check that all frames are unpacked",
    ),
    "file-gap": Check(
        "warning",
        "video",
        "[has|have] gaps in [its|their] file numbers",
        "check that all frames are unpacked",
    ),
    "file-case": Check(
        "warning",
        "file name",
        f"[differs from another|differ] only {_CASE}",
        "remove one; some file systems cannot tell them apart",
    ),
    "file-both": Check(
        "warning",
        "frame",
        "[exists|exist] as .bmp and as .png; the listed one is used",
        "remove one",
    ),
    "tracks-unknown": Check(
        "note",
        "annotation file",
        "[has|have] no tracks; images are independent: tracking is not trained with them, and "
        "validation has only image metrics",
        f"{_NOTHING}, or add videos and instance ids",
    ),
    "image-empty": Check("note", "image", "[has|have] no annotation", _NOTHING),
    "num-objs": Check("note", "video", "[does|do] not have num_objs annotated objects", _NOTHING),
    "video-id": Check(
        "note",
        "video_id",
        "of [an image does|images do] not match the video in [its|their] path",
        f"{_NOTHING} (the path is used)",
    ),
    "model-unknown": Check(
        "note", "model id", "of annotations [is|are] not in the list of models", _NOTHING
    ),
    "model-twice": Check("note", "model id", "in the list of models [is|are] not unique", _NOTHING),
    "folder-extra": Check("note", "video folder", "[is|are] not in the annotations", _UNUSED),
    "folder-plain": Check(
        "note", "folder", "[has|have] no images/ and [is|are] not in the annotations", _UNUSED
    ),
    "file-extra": Check("note", "file", "in images/ [is not a frame|are not frames]", _UNUSED),
    "file-broken": Check(
        "note",
        "file",
        "not in the annotations [is a damaged frame|are damaged frames]",
        _UNUSED,
    ),
}
