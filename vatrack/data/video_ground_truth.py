"""Per-track ground truth for the video metrics, made from frame-level annotations in the joint form
(spec 1.6)."""

from __future__ import annotations

from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType


def video_ground_truth(
    joint: dict[str, Any], mask_type: MaskType, max_occlusion: float
) -> dict[str, Any]:
    """Groups the annotations of a joint-form JSON by instance, as YouTube-VIS-like tracks.

    Args:
        joint: videos, images, annotations and categories in the joint form (spec 1.5), sound.
        mask_type: the mask and area that the tracks carry.
        max_occlusion: annotations count while their `occlude_rate` is below it (exclusive; spec
            1.5, quirk D12), or unknown.

    Returns:
        `videos` and `categories` as they are, and `annotations`, one per track in the order of
        videos, then instance ids, numbered from 1 (quirk E1): `segmentations`, `areas` and
        `occlude_rate` have one entry per frame of the video, None where the object is absent or too
        much occluded.

    Raises:
        InputError: an instance occurs twice in a frame.
    """
    frames: dict[int, list[dict[str, Any]]] = {video["id"]: [] for video in joint["videos"]}
    for image in joint["images"]:
        frames[image["video_id"]].append(image)
    position: dict[int, int] = {}
    for images in frames.values():
        images.sort(key=lambda image: image["frame_id"])
        position.update({image["id"]: index for index, image in enumerate(images)})

    tracks: dict[tuple[int, int], dict[str, Any]] = {}
    for annotation in joint["annotations"]:
        rate = annotation.get("occlude_rate")
        if rate is not None and rate >= max_occlusion:
            continue
        video_id, instance = annotation["video_id"], annotation["instance_id"]
        track = tracks.setdefault((video_id, instance), _new_track(annotation, frames[video_id]))
        index = position[annotation["image_id"]]
        if track["segmentations"][index] is not None:
            raise InputError(
                f"annotation {annotation['id']}: instance {instance} occurs twice in image "
                f"{annotation['image_id']}; give each of its objects an instance of its own"
            )
        track["segmentations"][index] = annotation[f"{mask_type}_mask"]
        track["areas"][index] = annotation[f"area_{mask_type}"]
        track["occlude_rate"][index] = rate
    numbered = [{"id": number, **tracks[key]} for number, key in enumerate(sorted(tracks), start=1)]
    return {"categories": joint["categories"], "videos": joint["videos"], "annotations": numbered}


def _new_track(annotation: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "video_id": annotation["video_id"],
        "instance_id": annotation["instance_id"],
        "category_id": annotation["category_id"],
        "iscrowd": 0,
        "height": images[0]["height"],
        "width": images[0]["width"],
        "segmentations": [None] * len(images),
        "areas": [None] * len(images),
        "occlude_rate": [None] * len(images),
    }
