"""A set of own annotations: two classes, JPEG, PNG and BMP frames of three sizes, minimal JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Json = dict[str, Any]
SIZES = {"a": (96, 128, "jpg"), "b": (80, 100, "png"), "c": (64, 96, "bmp")}


def rectangle(x: int, y: int, width: int, height: int) -> list[list[int]]:
    """A mask as a polygon."""
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def write_own(
    folder: Path, frames: int = 4, masks: tuple[str, ...] = ("amodal", "visible")
) -> Path:
    """Writes `frames/`, `train.json` and `valid.json`: a box moves behind a ball."""
    for subset, videos in (("train", "abc"), ("valid", "abc")):
        document: Json = {
            "categories": [{"id": 7, "name": "ball"}, {"id": 3, "name": "box"}],
            "videos": [],
            "images": [],
            "annotations": [],
        }
        for number, video in enumerate(videos, start=1):
            height, width, suffix = SIZES[video]
            document["videos"].append({"id": number, "name": f"{subset}_{video}"})
            for frame in range(frames):
                image = np.full((height, width, 3), 60, np.uint8)
                x = 8 + 4 * frame
                image[20:50, x : x + 30] = (30, 200, 200)
                image[20:50, 40:60] = (200, 80, 30)
                name = f"{subset}/{video}/{frame:03d}.{suffix}"
                path = folder / "frames" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)
                image_id = 100 * number + frame
                document["images"].append(
                    {"id": image_id, "video_id": number, "frame_id": frame, "file_name": name}
                    | {"width": width, "height": height}
                )
                shown = {
                    7: (rectangle(40, 20, 20, 30),) * 2,
                    3: (rectangle(x, 20, 30, 30), rectangle(x, 20, min(30, 40 - x), 30)),
                }
                for instance, (category, pair) in enumerate(shown.items(), start=1):
                    given = dict(zip(("amodal", "visible"), pair, strict=True))
                    document["annotations"].append(
                        {"id": 10 * image_id + instance, "image_id": image_id}
                        | {"video_id": number, "category_id": category, "instance_id": instance}
                        | {f"{mask}_mask": given[mask] for mask in masks}
                    )
        (folder / f"{subset}.json").write_text(json.dumps(document))
    return folder
