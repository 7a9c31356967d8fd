"""Tiny sets in the forms of KINS (single images) and of AmodalSynthDrive (videos)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from tests.own_data.own import rectangle

Json = dict[str, Any]
HEIGHT, WIDTH = 64, 96


def _scene(path: Path, left: int) -> None:
    """A car of which a pedestrian hides some columns; written as an image."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    image[20:50, left : left + 40] = (30, 200, 200)
    image[10:54, 50:62] = (200, 80, 30)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_kins(folder: Path, images: int = 4) -> Json:
    """Writes `image_2/` and `update_train_2020.json`; returns the content of the latter."""
    document: Json = {
        "info": {},
        "categories": [
            {"supercategory": "Living Thing", "id": 1, "name": "pedestrian"},
            {"supercategory": "vehicles", "id": 4, "name": "car"},
        ],
        "images": [],
        "annotations": [],
    }
    for number in range(images):
        left, name = 16 + 4 * number, f"{number:06d}.png"
        _scene(folder / "image_2" / name, left)
        document["images"].append(
            {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        )
        whole, shown = rectangle(left, 20, 40, 30), rectangle(left, 20, min(40, 50 - left), 30)
        person = rectangle(50, 10, 12, 44)
        for category, amodal, visible in ((4, whole, shown), (1, person, person)):
            document["annotations"].append(
                {"id": len(document["annotations"]), "image_id": number, "iscrowd": 0}
                | {"category_id": category, "a_segm": amodal, "i_segm": visible}
                | {"a_area": 1, "i_area": 1, "a_bbox": [0, 0, 1, 1], "i_bbox": [0, 0, 1, 1]}
                | {"oco_id": 1, "ico_id": 1}
            )
    (folder / "update_train_2020.json").write_text(json.dumps(document))
    return document


def write_synth_drive(folder: Path, frames: int = 4) -> None:
    """Writes `images/` and `amodal_instance_seg/` of one camera and two sequences."""
    for sequence in ("20230701_A", "20230702_B"):
        for number in range(frames):
            left = 16 + 4 * number
            stem = f"{sequence}/front_full_{number:04d}"
            _scene(folder / "images" / "front" / f"{stem}_rgb.jpg", left)
            whole, person = np.zeros((2, HEIGHT, WIDTH), np.uint8)
            whole[20:50, left : left + 40] = 1
            person[10:54, 50:62] = 1
            hidden = whole & person
            ids = np.where(person, 2, whole).astype(np.uint16)
            labels = folder / "amodal_instance_seg" / "front" / f"{stem}_aminseg.json"
            labels.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(labels.with_suffix(".png")), ids)
            car: Json = {"category_id": 26, "track_id": 71, "occluded": bool(hidden.any())}
            car |= {"amodal_mask": _code(whole), "occlusion_mask": _code(hidden)}
            walker: Json = {"category_id": 24, "track_id": 9, "occluded": False}
            walker |= {"amodal_mask": None, "occlusion_mask": None}
            labels.write_text(json.dumps({"1": car, "2": walker}))


def _code(mask: npt.NDArray[np.uint8]) -> Json:
    code = coco_mask.encode(np.asfortranarray(mask))
    return {"size": code["size"], "counts": code["counts"].decode()}
