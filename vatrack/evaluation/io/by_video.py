"""Ground truth and predictions in memory, split by video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.data.fields import lacks_tracks
from vatrack.evaluation.ap.overlaps import group_rows
from vatrack.evaluation.io.checks import all_known, integers, list_of
from vatrack.evaluation.io.ground_truth import IMAGE_FIELDS, Images, read_images
from vatrack.evaluation.io.prediction_file import (
    PredictionError,
)
from vatrack.evaluation.io.prediction_form import image_of, unknown_image
from vatrack.evaluation.one_video import Video

NO_ROWS = np.empty(0, np.int64)
NEVER = 2**63  # a number behind that of any prediction


@dataclass(frozen=True)
class TruthHead:
    """The small lists of a joint ground truth: names by id (where given), images as columns, and
    the head of every video; `tracks`: whether instance ids say which objects are the same."""

    images: Images
    heads: Mapping[int, Mapping[str, Any]]
    category_names: Mapping[int, Any]
    video_names: Mapping[int, Any]
    tracks: bool = True


def read_head(document: Mapping[str, Any], source: str) -> TruthHead:
    """Checks and splits the small lists of a joint ground truth.

    Raises:
        InputError: see `read_images`.
    """
    images = read_images(document, source)
    categories = [{"id": item["id"]} for item in document["categories"]]
    of_video: dict[int, list[dict[str, Any]]] = {video: [] for video in images.frames}
    for item in document["images"]:
        of_video[item["video_id"]].append({key: item[key] for key in IMAGE_FIELDS})
    heads = {
        video: {"categories": categories, "videos": [{"id": video}], "images": listed}
        for video, listed in of_video.items()
    }
    category_names, video_names = (
        {item["id"]: item.get("name", item["id"]) for item in document[key]}
        for key in ("categories", "videos")
    )
    tracks = not lacks_tracks(document["videos"])
    return TruthHead(images, heads, category_names, video_names, tracks)


def objects_by_video(
    document: Any,
    head: TruthHead,
    predictions: Iterable[tuple[int, Any]],
    tracks: Mapping[MaskType, tuple[str, Any]],
    source: str,
    label: str,
) -> tuple[list[tuple[int, Video]], tuple[MaskType, ...], PredictionError | None]:
    """Splits objects in memory.

    Args:
        document: joint ground truth.
        head: of the same.
        predictions: predictions with their numbers.
        tracks: given per-video ground truths with their names, by mask type.
        source, label: what messages call the ground truth and a prediction.

    Returns:
        For every video the number of its first prediction and the video; the mask types that the
        predictions have; and what is wrong with a prediction, if it cannot be assigned. All that
        come before it are assigned.

    Raises:
        InputError: something cannot be assigned to a video.
    """
    annotations = list_of(document, "annotations", source)
    of_image = head.images.index(integers(annotations, "image_id", source, "annotations"))
    all_known(of_image >= 0, annotations, "image_id", source)
    annotation_rows = group_rows(head.images.video[of_image])
    of_track = {}
    for mask_type, (name, given) in tracks.items():
        listed = list_of(given, "annotations", name)
        videos = integers(listed, "video_id", name, "annotations")
        all_known(np.isin(videos, list(head.heads)), listed, "video_id", name)
        of_track[mask_type] = listed, group_rows(videos)

    assigned: dict[int, list[tuple[int, Any]]] = {video: [] for video in head.heads}
    video_of = video_of_image(head.images)
    present: set[MaskType] = set()
    wrong = None
    for number, prediction in predictions:
        image, problem = image_of(prediction)
        video = video_of.get(image) if image is not None else None
        if video is None:
            wrong = PredictionError(label, number, problem or unknown_image(image))
            break
        assigned[video].append((number, prediction))
        present.update(
            mask_type for mask_type in MASK_TYPES if prediction.get(mask_type) is not None
        )

    result = []
    for video, lists in head.heads.items():
        chosen = {
            mask_type: {"annotations": [listed[row] for row in rows.get(video, NO_ROWS)]}
            for mask_type, (listed, rows) in of_track.items()
        }
        kept = [annotations[row] for row in annotation_rows.get(video, NO_ROWS)]
        first = assigned[video][0][0] if assigned[video] else NEVER
        result.append((first, Video({**lists, "annotations": kept}, assigned[video], chosen)))
    return result, in_order(present), wrong


def video_of_image(images: Images) -> dict[int, int]:
    return dict(zip(images.id.tolist(), images.video.tolist(), strict=True))


def in_order(present: set[MaskType]) -> tuple[MaskType, ...]:
    return tuple(mask_type for mask_type in MASK_TYPES if mask_type in present)
