"""A clip of eight frames with annotations that a test chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as rle_tools

from vatrack.common.files import write_json
from vatrack.data.pairs import PairDataset

HEIGHT, WIDTH = 48, 64


def _rle(box: list[int]) -> dict[str, Any]:
    bitmap = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    x, y, width, height = box
    bitmap[y : y + height, x : x + width] = 1
    encoded = rle_tools.encode(bitmap)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def annotation(number: int, image: int, instance: int, **changes: Any) -> dict[str, Any]:
    amodal, visible = [10, 8, 20, 16], [10, 8, 12, 16]
    base: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "video_id": 1,
        "category_id": 1 + instance % 24,
        "instance_id": instance,
    }
    base |= {
        "bbox": amodal,
        "bbox_visible": visible,
        "segmentation": [_rle(amodal), _rle(visible)],
        "iscrowd": 0,
    }
    return base | {"area_amodal": 320, "area_visible": 192} | changes


def write_clip(folder: Path, annotations: list[dict[str, Any]], frames: int = 8) -> Path:
    images: list[dict[str, Any]] = [
        {
            "id": i,
            "video_id": 1,
            "frame_id": i,
            "file_name": f"clip/images/{i:06d}.bmp",
            "width": WIDTH,
            "height": HEIGHT,
        }
        for i in range(frames)
    ]
    content = {"videos": [{"id": 1, "name": "clip"}], "images": images, "annotations": annotations}
    write_json(folder / "joint.json", content)
    (folder / "clip" / "images").mkdir(parents=True)
    for image in images:
        frame = np.random.default_rng(image["id"]).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        assert cv2.imwrite(str(folder / image["file_name"]), frame)
    return folder / "joint.json"


def clip_pairs(
    folder: Path, annotations: list[dict[str, Any]], *, flip: float = 0.5, seed: int = 0
) -> PairDataset:
    return pairs_of(write_clip(folder, annotations), flip=flip, seed=seed)


def pairs_of(path: Path, *, flip: float = 0.5, seed: int = 0) -> PairDataset:
    """The pairs of a file of `write_clip`."""
    return PairDataset(
        path,
        path.parent,
        mask_types=("amodal", "visible"),
        limits=(64, 48),
        flip=flip,
        reach=3,
        seed=seed,
    )
