"""Tiny datasets in the layouts that are imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vatrack.common.errors import InputError
from vatrack.evaluation.io.ground_truth import read_images, read_objects
from vatrack.importers import Imported, import_dataset

# rows 000000/001100/001100/000000; with one hidden column on the left; that column
VISIBLE = {"size": [4, 6], "counts": "92207"}
AMODAL = {"size": [4, 6], "counts": "5220007"}
HIDDEN = {"size": [4, 6], "counts": "52a0"}
EMPTY = {"size": [4, 6], "counts": "h0"}
FULL = {"size": [4, 6], "counts": "0h0"}
POLYGON = [[1, 1, 4, 1, 4, 3, 1, 3]]
CAR = [{"id": 4, "name": "car"}]


class Case:
    """A folder with images, and what an import of a source in it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.images, self.out = folder, folder / "images", folder / "out.json"
        self.document: dict[str, Any] = {}

    def image(self, name: str) -> str:
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((4, 6, 3), np.uint8))
        return name

    def write(self, value: Any, name: str = "source.json", mark: bool = False) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8-sig" if mark else "utf-8")
        return path

    def take(self, source_format: Any, *sources: Path) -> Imported:
        result = import_dataset(source_format, sources, self.images, self.out)
        self.document = json.loads(self.out.read_text())
        images = read_images(self.document, "out.json")
        for mask_type in ("amodal", "visible"):
            has_all = all(
                item[f"{mask_type}_mask"] and item["occlude_rate"] is not None
                for item in self.document["annotations"]
            )
            if has_all:
                read_objects(self.document, images, mask_type, "out.json")
        return result

    def refused(self, source_format: Any, *sources: Path) -> str:
        with pytest.raises(InputError) as caught:
            import_dataset(source_format, sources, self.images, self.out)
        assert not self.out.exists()
        assert not list(self.folder.glob(".out*"))
        return str(caught.value)

    def only(self) -> dict[str, Any]:
        (item,) = self.document["annotations"]
        return item


def coco(case: Case, *annotations: dict[str, Any], name: str = "a.png") -> dict[str, Any]:
    image = {"id": 3, "file_name": case.image(name), "width": 6, "height": 4}
    base = {"id": 7, "image_id": 3, "category_id": 4}
    items = [{**base, **item, "id": 7 + place} for place, item in enumerate(annotations)]
    return {"categories": CAR, "images": [image], "annotations": items}


def counts(mask: Any) -> Any:
    return mask and mask["counts"]


def cocoa(case: Case) -> dict[str, Any]:
    document = coco(case)
    del document["categories"]
    regions = [
        {"name": "cup", "order": 1, "isStuff": 0, "segmentation": [0, 1, 2, 1, 2, 3, 0, 3]},
        {
            "name": "wall",
            "order": 2,
            "isStuff": 1,
            "segmentation": POLYGON[0],
            "visible_mask": VISIBLE,
            "invisible_mask": HIDDEN,
        },
    ]
    annotation = {"id": 1, "image_id": 3, "depth_constraint": "1-2", "regions": regions}
    return {**document, "annotations": [annotation, {**annotation, "id": 2, "author": "b"}]}


def ytvis(case: Case) -> dict[str, Any]:
    names = [case.image("a/00005.png"), case.image("a/00000.png"), case.image("a/00010.png")]
    video = {"id": 1, "width": 6, "height": 4, "length": 3, "file_names": names}
    masks = [{"size": [4, 6], "counts": [9, 2, 2, 2, 9]}, None, EMPTY]
    annotation = {
        "id": 31,
        "video_id": 1,
        "category_id": 4,
        "iscrowd": 0,
        "segmentations": masks,
        "bboxes": [[2, 1, 2, 2], None, None],
        "occlusion": ["slight_occlusion", None, "no_occlusion"],
    }
    return {"videos": [video], "categories": CAR, "annotations": [annotation]}


def save_ids(path: Path, ids: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.asarray(ids))


def synth_drive(case: Case, sequence: str = "S1", camera_level: bool = True) -> Path:
    level = "front/" if camera_level else ""
    root = case.folder / "amodal_instance_seg"
    stem = f"{level}{sequence}/front_full_0003"
    case.image(f"{stem}_rgb.jpg")
    ids = np.zeros((4, 6), np.uint8)
    ids[1:3, 2:4], ids[3, 5] = 7, 9
    save_ids(root / f"{stem}_aminseg.png", ids)
    document = {
        "7": {
            "track_id": 412,
            "category_id": 26,
            "occluded": True,
            "amodal_mask": AMODAL,
            "occlusion_mask": HIDDEN,
        },
        "9": {
            "track_id": 413,
            "category_id": 24,
            "occluded": False,
            "amodal_mask": [],
            "occlusion_mask": [],
        },
        "11": {"track_id": 0, "category_id": 0, "occluded": False},
    }
    case.write(document, f"amodal_instance_seg/{stem}_aminseg.json")
    return root


def tao(case: Case, *boxes: list[float], **keys: Any) -> dict[str, Any]:
    items = [{"amodal_bbox": box, "track_id": 11 + n, **keys} for n, box in enumerate(boxes)]
    document = coco(case, *items)
    document["videos"] = [{"id": 2, "name": "v"}]
    document["images"][0] |= {"video_id": 2, "frame_index": 30}
    return document
