"""From official annotations to the annotations of clips, and to the four forms that the methods train on (spec 1.3, 1.5)."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vatrack.categories import CATEGORIES
from vatrack.config import DatasetConfig
from vatrack.data.clips import read_structure, source_video
from vatrack.data.sailvos import CLIP_MARK, image_place, read_official, video_name
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.errors import InputError
from vatrack.files import create_text

Json = dict[str, Any]

# Fields of an annotation that are kept as they are, where the official file has them (spec 1.3).
_KEPT = (
    "id", "image_id", "category_id", "obj_id", "model_id", "bbox", "bbox_visible", "segmentation", "visible_mask",
    "invisible_mask", "area", "area_visible", "iscrowd", "occlu_depth", "occlude_rate",
)  # fmt: skip
_LISTS = ("categories", "models", "videos", "images", "annotations")


def annotate_clips(official: Json, structure: Mapping[str, list[str]], source: Path) -> Json:
    """Regroups official annotations by clips (spec 1.3).

    Clips come in the order of the official list of videos, then of their frames; those of videos that are not in the list
    are left out. Clips are numbered from 1; frames restart at 0 in each. `instance_id` is numbered anew, from 1, in order of
    first appearance, and an object has another number in every clip (quirk D16). A clip that is a whole video keeps its
    `frame_id`s and `num_objs`, and tells objects apart by `obj_id`; others by `instance_id` where there is one (quirk D11).

    Args:
        official: as `read_official` returns it; not changed.
        structure: clip name to file names; suffixes are not compared.
        source: the file of `official`, for messages.

    Raises:
        InputError: an annotation would be lost (quirk D9), or a clip names a frame that the annotations do not have.
    """
    frames: dict[str, dict[str, Json]] = {video_name(video, source): {} for video in official["videos"]}
    for image in official["images"]:
        name, file = image_place(image, source)
        frames[name][Path(file).stem] = image
    of_image: dict[int, list[Json]] = {image["id"]: [] for image in official["images"]}
    for annotation in official["annotations"]:
        of_image[annotation["image_id"]].append(annotation)
    clips: dict[str, list[tuple[str, list[Json]]]] = {name: [] for name in frames}
    for clip, files in structure.items():
        known = frames.get(source_video(clip))
        if known is not None:
            clips[source_video(clip)].append((clip, [_frame(known, file, clip, source) for file in files]))

    converted: Json = {key: [] for key in _LISTS}
    converted.update(categories=official["categories"], models=official["models"])
    instances = 0
    for video in official["videos"]:
        for clip, images in sorted(clips[video_name(video, source)], key=lambda item: _first_frame(item[1])):
            images.sort(key=lambda image: image["frame_id"])
            number = len(converted["videos"]) + 1
            whole = CLIP_MARK not in clip
            converted["videos"].append(_clip_entry(number, clip, images, video if whole else {}))
            for place, image in enumerate(images):
                converted["images"].append(_image_entry(image, number, clip, image["frame_id"] if whole else place))
            numbers: dict[int, int] = {}
            for image in sorted(images, key=lambda image: image["id"]):
                if image["id"] not in of_image:
                    raise InputError(f"clip {clip}: its frame {image['file_name']} is in another clip too; keep one of them")
                for annotation in of_image.pop(image["id"]):
                    identity: Any = annotation["obj_id"] if whole else annotation.get("instance_id", annotation["obj_id"])
                    if identity not in numbers:
                        instances += 1
                        numbers[identity] = instances
                    kept = {key: annotation[key] for key in _KEPT if key in annotation}
                    converted["annotations"].append({**kept, "video_id": number, "instance_id": numbers[identity]})
    lost = [annotations[0] for annotations in of_image.values() if annotations]
    if lost:
        first = f"annotation {lost[0]['id']} of image {lost[0]['image_id']}"
        raise InputError(f"{source}: {len(lost)} annotated images are in no clip ({first}); use clips of all annotated frames")
    return converted


def _frame(known: dict[str, Json], file: str, clip: str, source: Path) -> Json:
    image = known.get(Path(file).stem)
    if image is None:
        raise InputError(f"clip {clip}: its frame {file} is not in {source}; use the clips and annotations of the same data")
    return image


def _first_frame(images: list[Json]) -> int:
    return min((image["frame_id"] for image in images), default=0)


def _clip_entry(number: int, clip: str, images: list[Json], whole: Json) -> Json:
    if not images:
        raise InputError(f"clip {clip}: has no frames; remove it from the dictionary of clips")
    size = {"width": images[-1]["width"], "height": images[-1]["height"]}
    entry = {"id": number, "name": clip, **size, "num_frames": len(images)}
    return {**entry, "num_objs": whole["num_objs"]} if "num_objs" in whole else entry


def _image_entry(image: Json, video_id: int, clip: str, frame_id: int) -> Json:
    file = Path(image["file_name"]).name
    size = {"width": image["width"], "height": image["height"]}
    return {"id": image["id"], "video_id": video_id, "file_name": f"{clip}/images/{file}", "frame_id": frame_id, **size}


def renumber_categories(data: Json, source: Path) -> Json:
    """Numbers the categories 1, 2, ... in list order, and those of models and annotations with them (spec 1.5).

    Raises:
        InputError: an annotation's category is not in the list. (A model's may be missing; it is left alone.)
    """
    numbers = {category["id"]: place for place, category in enumerate(data["categories"], start=1)}
    for annotation in data["annotations"]:
        if annotation["category_id"] not in numbers:
            category = annotation["category_id"]
            raise InputError(f"{source}: annotation {annotation['id']}: category {category} is not in the list of categories")

    def renumbered(item: Json) -> Json:
        return {**item, "category_id": numbers.get(item.get("category_id"), item.get("category_id"))}

    return {
        **data,
        "categories": [{**category, "id": numbers[category["id"]]} for category in data["categories"]],
        "models": [renumbered(model) if "category_id" in model else model for model in data.get("models", [])],
        "annotations": [renumbered(annotation) for annotation in data["annotations"]],
    }


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
    kept = {key: value for key, value in annotation.items() if key not in ("area", "invisible_mask")}
    return {
        **kept,
        "segmentation": [annotation["segmentation"], annotation["visible_mask"]],
        "amodal_mask": annotation["segmentation"],
        "area_amodal": annotation["area"],
    }


def _joint_two_boxes(annotation: Json) -> Json:
    boxes = [annotation["bbox"], annotation["bbox_visible"]]
    return {**_joint(annotation), "bbox": boxes, "bbox_amodal": annotation["bbox"]}


# One annotation with amodal `segmentation`, `bbox`, `area` to each form (spec 1.5).
FORMS: dict[str, Callable[[Json], Json]] = {
    "visible": _visible,
    "amodal": _amodal,
    "joint": _joint,
    "joint-2bbox": _joint_two_boxes,
}


def to_form(clips: Json, form: str, max_occlusion: float, suffix: str | None) -> Json:
    """One of the four forms (`FORMS`) of clip annotations with categories 1..24 (spec 1.5).

    Args:
        clips: from `annotate_clips` and `renumber_categories`; not changed, its values are shared.
        form: name of the form, as `Method.form`.
        max_occlusion: annotations with a larger `occlude_rate` are dropped; images and videos never are.
        suffix: suffix of the frames in the tree of clips, None for that of the raw frames.
    """
    kept = [FORMS[form](item) for item in clips["annotations"] if item["occlude_rate"] <= max_occlusion]
    images = clips["images"]
    if suffix is not None:
        images = [{**image, "file_name": str(Path(image["file_name"]).with_suffix(suffix))} for image in images]
    return {**clips, "images": images, "annotations": kept}


def convert_files(official: Path, structure: Path, dataset: DatasetConfig, out: Path) -> str:
    """Writes the four forms of one subset and its per-track ground truth into folder `out`, all or none.

    `visible.json`, `amodal.json`, `joint.json`, `joint-2bbox.json` (spec 1.5), `video_amodal.json`, `video_visible.json`
    (spec 1.6).

    Returns:
        A summary line.

    Raises:
        InputError: see `read_official`, `annotate_clips`, `renumber_categories`; or the categories are not the 24.
    """
    data = read_official(official)
    _check_categories(data, official)
    clips = renumber_categories(annotate_clips(data, read_structure(structure), official), official)
    suffix = ".png" if dataset.clips.mode == "png" else None

    def files() -> Iterator[tuple[str, Json]]:
        for form in FORMS:
            yield f"{form}.json", to_form(clips, form, dataset.max_occlusion, suffix)
        joint = to_form(clips, "joint", dataset.max_occlusion, suffix)
        for kind in ("amodal", "visible"):
            yield f"video_{kind}.json", video_ground_truth(joint, kind, dataset.video_max_occlusion)

    counts = _write_all(files(), Path(out))
    kept, everything = counts["joint.json"], len(clips["annotations"])
    found = f"{len(clips['videos'])} clips, {len(clips['images'])} frames, {kept} of {everything} annotations"
    return f"{found} (occlusion up to {dataset.max_occlusion:g}), {counts['video_amodal.json']} tracks in {out}"


def _check_categories(data: Json, source: Path) -> None:
    names = [category["name"] for category in data["categories"]]
    if names != list(CATEGORIES):
        differs = next((n for n, pair in enumerate(zip(names, CATEGORIES, strict=False)) if pair[0] != pair[1]), len(names))
        raise InputError(
            f"{source}: its {len(names)} categories are not the {len(CATEGORIES)} of the method in their order "
            f"(first difference at entry {differs + 1}): {', '.join(CATEGORIES)}"
        )


def _write_all(files: Iterable[tuple[str, Json]], out: Path) -> dict[str, int]:
    """Writes all files beside `out` first and then moves them into it; returns their numbers of annotations."""
    out.parent.mkdir(parents=True, exist_ok=True)
    counts = {}
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
        for file, data in files:
            _write_lists(Path(name) / file, data)
            counts[file] = len(data["annotations"])
        out.mkdir(exist_ok=True)
        for file in counts:
            os.replace(Path(name) / file, out / file)
    return counts


def _write_lists(path: Path, data: Json) -> None:
    """Writes an object of lists entry by entry: much faster than `json.dump`, and never the whole text in memory."""
    with create_text(path) as stream:
        for place, (key, items) in enumerate(data.items()):
            stream.write(("{" if place == 0 else ",\n") + json.dumps(key) + ": [")
            for number, item in enumerate(items):
                stream.write((",\n" if number else "\n") + json.dumps(item, allow_nan=False))
            stream.write("]")
        stream.write("}\n")
        stream.flush()
        os.fsync(stream.fileno())
