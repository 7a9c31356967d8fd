"""A small official annotation file and its raw tree, made by hand for tests of bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as rle_tools

from vatrack.common.files import write_json
from vatrack.config.categories import CATEGORIES

WIDTH, HEIGHT = 12, 8
# Clips of two videos, `a` with three frames and `b` with two, and of one that is not there.
STRUCTURE = {
    "b__1": ["000003.bmp", "000004.bmp"],
    "a__5": ["000003.bmp", "000004.bmp"],
    "a__3": ["000005.bmp"],
    "other__7": ["000003.bmp"],
}


def mask(number: int, width: int = WIDTH) -> dict[str, Any]:
    """The bits of the number as pixels, so every number gives another mask. Areas and boxes do not
    match it."""
    bits = np.array([number >> place & 1 for place in range(width * HEIGHT)], np.uint8)
    encoded = rle_tools.encode(np.asfortranarray(bits.reshape(HEIGHT, width)))
    return {"size": [HEIGHT, width], "counts": encoded["counts"].decode()}


def official(videos: dict[str, int]) -> dict[str, Any]:
    """Annotations of videos with so many frames: objects 4 and 9 in every frame, category ids 10,
    20, ..."""
    data: dict[str, Any] = {
        "categories": [
            {"id": 10 * n, "name": name, "supercategory": name}
            for n, name in enumerate(CATEGORIES, start=1)
        ],
        "models": [
            {"id": 0, "name": "m", "category_id": 20},
            {"id": 1, "name": "outside", "category_id": 3},
        ],
        "videos": [],
        "images": [],
        "annotations": [],
    }
    for number, (video, frames) in enumerate(videos.items()):
        names = {"id": number, "name": video, "vid_name": video}
        data["videos"].append({**names, "num_frames": frames, "num_objs": 2})
        for k in range(frames):
            image_id = len(data["images"])
            place = {
                "id": image_id,
                "video_id": number,
                "file_name": f"{video}/images/{k + 3:06d}.bmp",
            }
            data["images"].append({**place, "frame_id": k, "width": WIDTH, "height": HEIGHT})
            for obj_id, rate in ((4, 0.5), (9, 0.75 + 0.2 * (k % 2))):
                data["annotations"].append(
                    annotation(len(data["annotations"]), image_id, obj_id, rate)
                )
    return data


def annotation(number: int, image_id: int, obj_id: int, rate: float) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 20,
        "obj_id": obj_id,
        "instance_id": 100 + obj_id,
        "model_id": 0,
        "bbox": [1.0, 1.0, 5.0, 4.0],
        "bbox_visible": [1.0, 1.0, 2.0, 4.0],
        "segmentation": mask(3 * number),
        "visible_mask": mask(3 * number + 1),
        "invisible_mask": mask(3 * number + 2),
        "area": 20,
        "area_visible": 8,
        "iscrowd": 0,
        "occlu_depth": 0,
        "occlude_rate": rate,
    }


def write_raw(root: Path, subsets: dict[str, dict[str, int]]) -> dict[str, Path]:
    """Writes a raw tree with the images of the annotated frames, and `<subset>.json`; returns the
    paths of the latter."""
    paths = {}
    for subset, videos in subsets.items():
        paths[subset] = root / f"{subset}.json"
        write_json(paths[subset], official(videos))
        for video, frames in videos.items():
            folder = root / video / "images"
            folder.mkdir(parents=True)
            for k in range(frames):
                image = np.full((HEIGHT, WIDTH, 3), 5 * k, np.uint8)
                assert cv2.imwrite(str(folder / f"{k + 3:06d}.bmp"), image)
    return paths
