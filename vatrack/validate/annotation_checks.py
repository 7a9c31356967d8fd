"""What is checked in annotation files alone, by finding code (see `checks`)."""

from __future__ import annotations

from vatrack.validate.sentences import Check

_FILE = "correct [it|them], or download [it|them] again"
_LIST = "correct the file, or download it again"
_MAKE = "correct [it|them], or download or regenerate the annotations"
_ONE_SUBSET = "keep each video in one subset; otherwise validation metrics are meaningless"

ANNOTATION_CHECKS: dict[str, Check] = {
    "json-broken": Check(
        "error",
        "annotation file",
        "[is|are] not valid JSON, or truncated; the rest of [it|them] is not checked",
        _FILE,
    ),
    "list-missing": Check(
        "error", "list", "[is|are] missing or empty in the annotation files", _LIST
    ),
    "field-missing": Check(
        "error",
        "required field",
        "[is|are] missing",
        "add [it|them], correct [its|their] name, or download the file again",
    ),
    "field-unknown": Check(
        "warning",
        "name",
        "of a field or list [is|are] not known, but [looks|look] like one that is",
        "correct [it|them] if misspelt",
    ),
    "method-masks": Check(
        "error",
        "annotation file",
        "[lacks|lack] masks that methods of the config need",
        "add the masks, or correct methods in the config",
    ),
    "mask-missing": Check(
        "warning",
        "annotation",
        "[lacks|lack] a mask that others have, and [is|are] skipped",
        "add the missing masks, or remove that mask type from all annotations",
    ),
    "number-bad": Check(
        "error",
        "value",
        "[is not a number in its range, or not a path|are not numbers in their range, or not "
        "paths] inside the folder",
        _MAKE,
    ),
    "box-bad": Check(
        "error",
        "box",
        "[is|are] not four numbers, or [has|have] a negative width or height",
        _MAKE,
    ),
    "rle-bad": Check(
        "error",
        "mask",
        "[is|are] neither [a run-length code of its|run-length codes of their] own size nor "
        "polygons in pixels",
        _MAKE,
    ),
    "rle-size": Check("error", "mask", "[does|do] not have the size of [its|their] image", _MAKE),
    "id-twice": Check("error", "id", "[is|are] not unique", _MAKE),
    "category-list": Check(
        "error",
        "category list",
        "[is|are] damaged, or [differs|differ] from the classes of the config (for SAIL-VOS also "
        "in [its|their] order)",
        "correct the list, or dataset.classes",
    ),
    "category-unknown": Check(
        "error",
        "annotation",
        "[has|have] a category that is not listed",
        "remove [it|them], or correct [its|their] category",
    ),
    "image-unknown": Check(
        "error", "annotation", "[belongs|belong] to an image that is not listed", _LIST
    ),
    "video-unknown": Check(
        "error", "image", "[belongs|belong] to a video that is not listed", _LIST
    ),
    "video-name": Check(
        "error",
        "video",
        "[has|have] no name, two names, or a name that is not allowed for folders or clips",
        "rename [it and its folder|them and their folders]",
    ),
    "video-twice": Check("error", "video name", "[is|are] not unique in a file", _LIST),
    "video-in-both": Check("error", "video", "[is|are] in more than one subset", _ONE_SUBSET),
    "frame-in-both": Check("warning", "frame", "[is|are] in more than one subset", _ONE_SUBSET),
    "image-place": Check(
        "error",
        "file name",
        "of [an image is|images are] not of the form <video>/images/<name>.bmp (or .png)",
        "correct [it|them]",
    ),
    "image-twice": Check(
        "error",
        "frame",
        "[is|are] listed more than once",
        "keep one entry per frame, and remove the others with their annotations",
    ),
    "frame-id-gap": Check(
        "error",
        "video",
        "[has|have] frame ids with gaps or repetitions",
        "number [its|their] frames 0, 1, 2, ...",
    ),
    "image-size": Check(
        "error",
        "image",
        "[differs|differ] in size from the first one of [its|their] video",
        "correct the sizes",
    ),
    "object-twice": Check(
        "error",
        "object",
        "[has|have] several annotations in an image",
        "keep one annotation per object and image",
    ),
    "object-category": Check(
        "error",
        "object",
        "[changes its|change their] category within a video",
        "give each object one category",
    ),
    "object-instance": Check(
        "error",
        "object",
        "(obj_id) [has|have] several instance_ids in a video, or [shares|share] one with another "
        "object",
        "give each object one unique instance_id; clips identify objects by it",
    ),
    "mask-empty": Check(
        "error",
        "object",
        "[has|have] no pixel in [its|their] image",
        "remove [its annotation|their annotations]",
    ),
    "area-wrong": Check("error", "area", "[differs|differ] from the [mask|masks]", _MAKE),
    "box-wrong": Check(
        "error", "box", "[is|are] not the bounding [box of its mask|boxes of their masks]", _MAKE
    ),
    "box-outside": Check("error", "box", "[extends|extend] beyond [its|their] image", _MAKE),
    "visible-outside": Check(
        "error",
        "visible mask",
        "[extends|extend] beyond the amodal [mask|masks]",
        "correct [it|them], or download or regenerate the annotations; for a few pixels of masks "
        "of your own, unite both with `vatrack import-dataset` (coco-amodal), or list "
        "visible-outside in `dataset.validation.accept`",
    ),
    "rate-wrong": Check(
        "error", "occlusion rate", "[differs|differ] from 1 - visible / amodal area", _MAKE
    ),
}
