"""The frames and objects of one annotation file, grouped for reading (spec 2.1, 2.3)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle_tools

from vatrack.categories import NUM_CLASSES
from vatrack.errors import InputError
from vatrack.files import read_json


@dataclass(frozen=True)
class Frame:
    """One frame of a clip."""

    image_id: int
    video_id: int
    frame_id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class Objects:
    """The usable ground truth of one frame: n objects in file order.

    Attributes:
        boxes: kind ("amodal", "visible") to (n, 4) float32 corners in original pixels.
        rles: kind to n run-length encodings.
        labels: (n,) int64, 0..23; `instances`: (n,) int64.
    """

    boxes: dict[str, npt.NDArray[np.float32]]
    rles: dict[str, list[dict[str, Any]]]
    labels: npt.NDArray[np.int64]
    instances: npt.NDArray[np.int64]

    def masks(self, kind: str, height: int, width: int) -> npt.NDArray[np.uint8]:
        """Decoded bitmaps (n, height, width)."""
        if not self.rles[kind]:
            return np.zeros((0, height, width), np.uint8)
        return np.ascontiguousarray(rle_tools.decode(self.rles[kind]).transpose(2, 0, 1))


class AnnotationFile:
    """One of the four annotation forms in memory.

    Args:
        kinds: the kinds of mask that the form holds (`Method.masks`), amodal first.

    Attributes:
        clips: for every video in file order, its frames by frame number.
    """

    def __init__(self, path: Path, kinds: tuple[str, ...] = ("amodal", "visible")) -> None:
        content = read_json(path)
        self.kinds = kinds
        try:
            self.path = path
            self.clip_names = {video["id"]: video["name"] for video in content["videos"]}
            by_video = defaultdict(list)
            for image in content["images"]:
                frame = Frame(
                    image["id"], image["video_id"], image["frame_id"], image["file_name"], image["width"], image["height"]
                )
                by_video[frame.video_id].append(frame)
            self.clips = [sorted(by_video[video], key=lambda frame: frame.frame_id) for video in self.clip_names]
            self._annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
            for annotation in content["annotations"]:
                self._annotations[annotation["image_id"]].append(annotation)
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: not an annotation file of `vatrack convert` ({error!r} is missing)") from None

    @cached_property
    def frames(self) -> list[Frame]:
        """All frames, clip by clip."""
        return [frame for clip in self.clips for frame in clip]

    def has_objects(self, frame: Frame) -> bool:
        """Whether any annotation belongs to the frame."""
        return frame.image_id in self._annotations

    def objects(self, frame: Frame) -> Objects:
        """The usable objects of a frame. Dropped: ignored and crowd ones, empty or degenerate boxes, empty areas."""
        boxes: dict[str, list[list[float]]] = defaultdict(list)
        rles: dict[str, list[dict[str, Any]]] = defaultdict(list)
        labels, instances = [], []
        kinds = self.kinds
        for annotation in self._annotations.get(frame.image_id, []):
            own_boxes = _by_kind(annotation["bbox"], kinds)
            area = annotation["area"] if "area" in annotation else annotation["area_visible"]
            skip = annotation.get("ignore") or annotation.get("iscrowd") or area <= 0
            if skip or not all(_usable(box, frame) for box in own_boxes.values()):
                continue
            label = annotation["category_id"] - 1
            if not 0 <= label < NUM_CLASSES:
                raise InputError(f"{self.path}: annotation {annotation['id']} has category {label + 1}; 1 to 24 are known")
            for kind, (x, y, width, height) in own_boxes.items():
                boxes[kind].append([x, y, x + width, y + height])
            for kind, rle in _by_kind(annotation["segmentation"], kinds).items():
                rles[kind].append(rle)
            labels.append(label)
            instances.append(annotation["instance_id"])
        return Objects(
            {kind: np.array(boxes[kind], np.float32).reshape(-1, 4) for kind in (boxes or kinds)},
            {kind: rles[kind] for kind in kinds},
            np.array(labels, np.int64),
            np.array(instances, np.int64),
        )


def _by_kind(value: Any, kinds: tuple[str, ...]) -> dict[str, Any]:
    """A field that holds one value, or one per kind."""
    nested = isinstance(value, list) and bool(value) and isinstance(value[0], list | dict)
    return dict(zip(kinds, value, strict=True)) if nested else {kinds[0]: value}


def _usable(box: list[float], frame: Frame) -> bool:
    x, y, width, height = box
    inside_x = min(x + width, frame.width) - max(x, 0)
    inside_y = min(y + height, frame.height) - max(y, 0)
    return width >= 1 and height >= 1 and inside_x > 0 and inside_y > 0
