"""Small made-up ground truths and predictions in the project's formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from vatrack.config.categories import CATEGORIES

HEIGHT, WIDTH = 120, 160


def rle(bitmap: np.ndarray) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(bitmap, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def rectangle(x: float, y: float, width: float, height: float) -> np.ndarray:
    """A bitmap with a filled rectangle, cut off at the border."""
    bitmap = np.zeros((HEIGHT, WIDTH), np.uint8)
    bitmap[
        max(round(y), 0) : max(round(y + height), 0), max(round(x), 0) : max(round(x + width), 0)
    ] = 1
    return bitmap


def document(frames: list[int], first_image: int = 1) -> dict[str, Any]:
    """A joint form without annotations: one video for every number of frames, ids from 1."""
    images: list[dict[str, Any]] = []
    for video, number in enumerate(frames, 1):
        images += [
            {
                "id": first_image + len(images) + frame,
                "video_id": video,
                "frame_id": frame,
                "file_name": f"clip__{video}/images/{frame + 3:06d}.png",
                "width": WIDTH,
                "height": HEIGHT,
            }
            for frame in range(number)
        ]
    return {
        "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, 1)],
        "videos": [
            {
                "id": video,
                "name": f"clip__{video}",
                "width": WIDTH,
                "height": HEIGHT,
                "num_frames": number,
            }
            for video, number in enumerate(frames, 1)
        ],
        "images": images,
        "annotations": [],
    }


def add_object(
    joint: dict[str, Any],
    image: int,
    category: int,
    instance: int,
    amodal: np.ndarray,
    visible: np.ndarray | None = None,
) -> None:
    """Appends an annotation; ids count from 1."""
    visible = amodal if visible is None else visible
    video = next(entry["video_id"] for entry in joint["images"] if entry["id"] == image)
    masks = {"amodal": rle(amodal), "visible": rle(visible)}
    boxes = {mask_type: coco_mask.toBbox(mask).tolist() for mask_type, mask in masks.items()}
    areas = {mask_type: int(coco_mask.area(mask)) for mask_type, mask in masks.items()}
    joint["annotations"].append(
        {
            "id": len(joint["annotations"]) + 1,
            "video_id": video,
            "image_id": image,
            "category_id": category,
            "instance_id": instance,
            "iscrowd": 0,
            "bbox": boxes["amodal"],
            "bbox_visible": boxes["visible"],
            "segmentation": [masks["amodal"], masks["visible"]],
            "amodal_mask": masks["amodal"],
            "visible_mask": masks["visible"],
            "area_amodal": areas["amodal"],
            "area_visible": areas["visible"],
            "occlude_rate": 1 - areas["visible"] / max(areas["amodal"], 1),
        }
    )


def detection(
    image: int,
    category: int,
    score: float,
    track: int,
    amodal: np.ndarray | None,
    visible: np.ndarray | None = None,
) -> dict[str, Any]:
    """A prediction whose box is that of its first mask."""
    masks = {
        "amodal": None if amodal is None else rle(amodal),
        "visible": None if visible is None else rle(visible),
    }
    box = coco_mask.toBbox(masks["amodal"] or masks["visible"]).tolist()
    return {
        "image_id": image,
        "category_id": category,
        "score": score,
        "bbox": box,
        "track_id": track,
        **masks,
    }


def write_scene(
    folder: Path, joint: dict[str, Any], predictions: list[dict[str, Any]], grey: int = 60
) -> dict[str, Path]:
    """Ground truth, predictions and flat frames as files, by the parameters that take them."""
    for image in joint["images"]:
        path = folder / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = np.full((image["height"], image["width"], 3), grey, np.uint8)
        assert cv2.imwrite(str(path), frame)
    truth, found = folder / "truth.json", folder / "predictions.jsonl"
    truth.write_text(json.dumps(joint))
    found.write_text("".join(json.dumps(item) + "\n" for item in predictions))
    return {"ground_truth": truth, "predictions": found, "images": folder / "images"}


def random_scene(seed: int, *, tied: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Three videos of moving, partly hidden rectangles and what a mediocre tracker makes of
    them."""
    random = np.random.default_rng(seed)
    joint = document([6, 1, 4], first_image=40)
    predictions = []
    for image in joint["images"]:
        for instance in range(1, int(random.integers(0, 7))):
            category = 1 + (instance * 5 + image["video_id"]) % 4
            size = random.choice([10, 32, 50, 96]) * random.uniform(0.7, 1.1, 2)
            box = np.array([*random.uniform(-10, 90, 2), *size])
            amodal = rectangle(*box)
            if not amodal.any():
                continue
            visible = amodal.copy()
            visible[:, : int(max(box[0], 0) + random.choice([0, 0, 0.2, 0.5, 0.7]) * box[2])] = 0
            add_object(joint, image["id"], category, instance, amodal, visible)
            if random.random() < 0.8:
                moved = rectangle(*(box + random.normal(0, 0.08, 4) * box[[2, 3, 2, 3]]))
                seen = moved & ~rectangle(0, 0, box[0] + 0.2 * box[2], HEIGHT)
                score = float(np.float32(random.uniform(0.05, 1)))
                predictions.append(
                    detection(
                        image["id"],
                        category if random.random() < 0.9 else 1 + category % 4,
                        round(score, 1) if tied else score,
                        instance if random.random() < 0.9 else 50 + instance,
                        moved,
                        seen,
                    )
                )
        for false in range(int(random.integers(0, 4))):
            wrong = rectangle(*random.uniform(0, 100, 2), *random.uniform(5, 60, 2))
            predictions.append(
                detection(image["id"], int(random.integers(1, 6)), 0.3, 100 + false, wrong, wrong)
            )
    return joint, predictions
