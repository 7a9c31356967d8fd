"""The small lists of a joint ground truth, split by video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.data.fields import lacks_tracks
from vatrack.evaluation.io.classes import names_of
from vatrack.evaluation.io.ground_truth import IMAGE_FIELDS, Images, read_images

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
    category_names, video_names = (names_of(document, key) for key in ("categories", "videos"))
    tracks = not lacks_tracks(document["videos"])
    return TruthHead(images, heads, category_names, video_names, tracks)


def video_of_image(images: Images) -> dict[int, int]:
    return dict(zip(images.id.tolist(), images.video.tolist(), strict=True))


def in_order(present: set[MaskType]) -> tuple[MaskType, ...]:
    return tuple(mask_type for mask_type in MASK_TYPES if mask_type in present)
