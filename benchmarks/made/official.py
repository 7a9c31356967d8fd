"""An official annotation file of any size.

Videos have 500 frames with 17 objects in each, as SAIL-VOS has on average, 1280 x 800; run-length
codes are as long as the real ones (about 3.7 kB an annotation).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vatrack.config.categories import CATEGORIES

FRAMES, OBJECTS = 500, 17
HEIGHT, WIDTH = 800, 1280


def write_official(folder: Path, size: int) -> None:
    """`train.json` with `size` annotations, and `structure.json`: clips of 23 frames, the real
    median."""
    folder.mkdir(parents=True, exist_ok=True)
    codes = _shapes()
    frames = -(-size // OBJECTS)
    videos = [f"video_{number:04d}" for number in range(-(-frames // FRAMES))]
    structure: dict[str, list[str]] = {}
    with (folder / "train.json").open("w") as stream:
        categories = [
            {"id": 11 + 7 * number, "name": name, "supercategory": name}
            for number, name in enumerate(CATEGORIES)
        ]
        listed = [
            {"id": n, "name": name, "num_frames": FRAMES, "num_objs": OBJECTS}
            for n, name in enumerate(videos)
        ]
        head = {"categories": categories, "models": [], "videos": listed}
        stream.write(json.dumps(head)[:-1] + ', "images": [')
        for number in range(frames):
            video, frame = videos[number // FRAMES], number % FRAMES
            name = f"{frame + 3:06d}.bmp"
            structure.setdefault(f"{video}__{frame // 23}", []).append(name)
            image = {
                "id": number,
                "video_id": number // FRAMES,
                "file_name": f"{video}/images/{name}",
                "frame_id": frame,
            }
            stream.write(
                (", " if number else "") + json.dumps({**image, "width": WIDTH, "height": HEIGHT})
            )
        stream.write('], "annotations": [')
        for number in range(size):
            item = {
                "id": number,
                "image_id": number // OBJECTS,
                "obj_id": number % OBJECTS,
                "model_id": 0,
            }
            item |= codes[number % len(codes)]
            stream.write((", " if number else "") + json.dumps(item))
        stream.write("]}")
    (folder / "structure.json").write_text(json.dumps(structure))


def _shapes() -> list[dict[str, Any]]:
    """Made-up objects: an ellipse with a ragged edge, the right part of it hidden."""
    random = np.random.default_rng(0)
    found = []
    for number in range(40):
        x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
        centre_x, centre_y = random.integers(200, 1000), random.integers(200, 600)
        width, height = random.integers(100, 190), random.integers(60, 190)
        ragged = random.normal(0, 0.01, (HEIGHT, 1)) + random.normal(0, 0.01, (1, WIDTH))
        amodal = ((x - centre_x) / width) ** 2 + ((y - centre_y) / height) ** 2 + ragged < 1
        visible = amodal & (x < centre_x + width * (0.9 - 1.4 * random.random()))
        codes = coco_mask.encode(
            np.asfortranarray(np.stack([amodal, visible, amodal & ~visible], -1), np.uint8)
        )
        texts = [{"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()} for code in codes]
        area, seen = int(amodal.sum()), int(visible.sum())
        item = {
            "category_id": 11 + 7 * (number % 24),
            "bbox": coco_mask.toBbox(codes[0]).tolist(),
            "bbox_visible": coco_mask.toBbox(codes[1]).tolist(),
        }
        item |= {
            "segmentation": texts[0],
            "visible_mask": texts[1],
            "invisible_mask": texts[2],
            "area": area,
            "area_visible": seen,
        }
        found.append(item | {"iscrowd": 0, "occlu_depth": 0, "occlude_rate": 1 - seen / area})
    return found
