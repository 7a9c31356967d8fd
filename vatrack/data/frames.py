"""The frames and objects of one annotation file (spec 2.1, 2.3)."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vatrack.common.bitmaps import draw
from vatrack.common.counted import few
from vatrack.common.errors import InputError
from vatrack.common.frame_folders import require_frames
from vatrack.common.images import read_image
from vatrack.common.json_lists import read_lists
from vatrack.common.mask_types import MaskType
from vatrack.config.classes import SAILVOS, ClassList
from vatrack.config.file_classes import FileClasses
from vatrack.data.fields import annotation_problem, is_whole, masks_of, read_masks, shown
from vatrack.data.loading_process import reading
from vatrack.data.store import open_store


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
        boxes: mask type ("amodal", "visible") to (n, 4) float32 corners in original pixels.
        rles: mask type to n run-length encodings.
        labels: (n,) int64, from 0 on; `instances`: (n,) int64.
    """

    boxes: dict[MaskType, npt.NDArray[np.float32]]
    rles: dict[MaskType, list[dict[str, Any]]]
    labels: npt.NDArray[np.int64]
    instances: npt.NDArray[np.int64]

    def masks(
        self, mask_type: MaskType, height: int, width: int, *, mirrored: bool = False
    ) -> npt.NDArray[np.uint8]:
        """Bitmaps (n, height, width); `mirrored`: left and right exchanged."""
        counts = [mask["counts"] for mask in self.rles[mask_type]]
        return draw(counts, (height, width), mirrored=mirrored)


class AnnotationFile:
    """One of the four annotation forms, read frame by frame through its store.

    Frames are numbered clip by clip, in each by frame number.

    Args:
        mask_types: the mask types that the form holds (`Method.masks`), amodal first.
        classes: whose labels the objects get; None: the file's own, or SAIL-VOS's where it lists
            none.

    Attributes:
        categories: what the file calls the classes; `classes`: as given, or its own.
        clip_names: ids of the clips to their names, in file order.
        bounds: (clips + 1,) first frame of every clip.
        sizes: (frames, 2) width and height; `counts`: (frames,) annotations, usable or not.

    Raises:
        InputError: the file is missing, damaged, or of another form, or it has a class that
            `classes` lacks.
    """

    def __init__(
        self,
        path: Path,
        mask_types: tuple[MaskType, ...] = ("amodal", "visible"),
        classes: ClassList | None = None,
    ) -> None:
        self.path, self.mask_types = Path(path), mask_types
        self._store = open_store(path)
        self.categories = FileClasses(str(path), self._store.categories)
        own = self.categories.classes if self.categories.ids else SAILVOS
        self.classes = classes or own
        self._labels = self.categories.labels(self.classes)
        self._frames = self._store.frames
        self.clip_names = dict(self._store.clips)
        self.bounds = self._store.bounds

    def __reduce__(self) -> tuple[type[AnnotationFile], tuple[Any, ...]]:
        # Another process maps the store itself instead of getting a copy of it.
        return AnnotationFile, (self.path, self.mask_types, self.classes)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return np.stack([self._frames["width"], self._frames["height"]], axis=1)

    def fingerprint(self) -> str:
        """A digest of all frames and of where their annotations are; with `content`, it identifies
        the dataset."""
        digest = hashlib.sha256(repr(self.clip_names).encode())
        if self._labels != dict(zip(range(1, len(SAILVOS) + 1), range(len(SAILVOS)), strict=True)):
            digest.update(repr(sorted(self._labels.items())).encode())
        for table in (self.bounds, self._frames, self._store.spans):
            digest.update(np.ascontiguousarray(table).tobytes())
        return digest.hexdigest()

    def content(self) -> str:
        """A digest of the annotations themselves, all of which are read."""
        return self._store.content()

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        return np.array(self._frames["count"])

    def frame(self, number: int) -> Frame:
        """What is known of a frame without its objects."""
        row = self._frames[number]
        image, video, frame, width, height = (
            int(row[name]) for name in ("image_id", "video_id", "frame_id", "width", "height")
        )
        return Frame(image, video, frame, row["file_name"].decode(), width, height)

    def clip_around(self, number: int) -> tuple[int, int]:
        """First frame and end (exclusive) of the clip that a frame belongs to."""
        clip = int(np.searchsorted(self.bounds, number, side="right"))
        return int(self.bounds[clip - 1]), int(self.bounds[clip])

    @property
    def clips(self) -> list[list[Frame]]:
        """For every clip that has frames these by frame number."""
        return [
            [self.frame(number) for number in range(start, stop)]
            for start, stop in pairwise(self.bounds.tolist())
            if stop > start
        ]

    def require_frames(self, images: Path) -> None:
        """Sees that the frames can be in a folder.

        Raises:
            InputError: it is no folder, or nothing of theirs is in it.
        """
        names = (self.frame(number).file_name for number in range(len(self)))
        require_frames(images, names, self.path)

    def objects(self, number: int) -> Objects:
        """The usable objects of a frame. Dropped: ignored and crowd ones, empty or degenerate
        boxes, empty areas."""
        annotations = self._store.annotations(number)
        frame = self.frame(number)
        return usable_objects(annotations, frame, self.mask_types, self.path, self._labels)


def usable_objects(
    annotations: Sequence[dict[str, Any]],
    frame: Frame,
    mask_types: tuple[MaskType, ...],
    path: Path,
    labels_by_id: Mapping[int, int],
) -> Objects:
    """Parses the annotations of one frame (spec 2.3).

    Args:
        labels_by_id: category ids of the file to labels.

    Raises:
        InputError: a category is not one of the file's, a field is missing or wrong, a mask does
            not fill the frame, or the annotations are of another form.
    """
    boxes: dict[MaskType, list[list[float]]] = defaultdict(list)
    rles: dict[MaskType, list[Any]] = defaultdict(list)
    labels, instances, names = [], [], []
    try:
        for annotation in annotations:
            own_boxes = _by_mask_type(annotation["bbox"], mask_types)
            area = annotation["area"] if "area" in annotation else annotation["area_visible"]
            if text := annotation_problem(annotation):
                raise ValueError(f"annotation {shown(annotation.get('id'))}: {text}")
            skip = annotation.get("ignore") or annotation.get("iscrowd") or area <= 0
            if skip or not all(_usable(box, frame) for box in own_boxes.values()):
                continue
            label = labels_by_id.get(annotation["category_id"])
            if label is None:
                raise InputError(
                    f"{path}: annotation {annotation['id']} has category "
                    f"{annotation['category_id']}; use one of {_listed(labels_by_id)}"
                )
            for mask_type, (x, y, width, height) in own_boxes.items():
                boxes[mask_type].append([x, y, x + width, y + height])
            found = masks_of(annotation["segmentation"])
            if len(found) != len(mask_types):
                raise ValueError(f"{' and '.join(mask_types)} masks are missing")
            masks = dict(zip(mask_types, found, strict=True))
            for mask_type, mask in masks.items():
                rles[mask_type].append(mask)
            names.append(f"{path}: annotation {shown(annotation.get('id'))}: segmentation")
            labels.append(label)
            instances.append(annotation["instance_id"])
        return Objects(
            {
                mask_type: np.array(boxes[mask_type], np.float32).reshape(-1, 4)
                for mask_type in (boxes or mask_types)
            },
            {mask_type: _sound(rles[mask_type], frame, names) for mask_type in mask_types},
            np.array(labels, np.int64),
            np.array(instances, np.int64),
        )
    except KeyError as error:
        raise InputError(
            f"{path}: not an annotation file of `vatrack convert` ({error} is missing); convert "
            "again"
        ) from None
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: frame {frame.image_id}: not annotations in this form ({error}); convert again"
        ) from None


def _listed(ids: Iterable[int]) -> str:
    """Category ids for messages: "1 to 24" where there is no gap."""
    known = sorted(ids)
    if len(known) > 1 and known == list(range(known[0], known[-1] + 1)):
        return f"{known[0]} to {known[-1]}"
    return few(known, 20)


def read_frame(images: Path, frame: Frame) -> npt.NDArray[np.uint8]:
    """The BGR image of a frame.

    Raises:
        InputError: it is missing, damaged, or not of the annotated size (its masks would lie
            elsewhere).
    """
    path = images / frame.file_name
    reading(path)
    return read_image(path, (frame.width, frame.height))


def count_classes(path: Path) -> dict[str, int]:
    """How many annotations of each class a file has, by name; crowds and ignored ones not.

    Raises:
        InputError: the file is missing or damaged, or an annotation's category is not listed.
    """
    counts: Counter[int] = Counter()
    categories: list[dict[str, Any]] = []
    for item in read_lists(path, required=("annotations",)):
        if item.section == "categories":
            categories.append(item.value)
        elif item.section == "annotations" and not (
            item.value.get("ignore") or item.value.get("iscrowd")
        ):
            number: Any = item.value.get("category_id")
            counts[number if is_whole(number) else -1] += 1
    ids = FileClasses.of(categories, str(path)).ids
    ids = ids or {name: number for number, name in enumerate(SAILVOS.names, 1)}
    if unknown := sorted(set(counts) - set(ids.values())):
        raise InputError(
            f"{path}: an annotation has category {unknown[0]}; use one of {_listed(ids.values())}"
        )
    return {name: counts[number] for name, number in ids.items()}


def _sound(masks: list[Any], frame: Frame, names: list[str]) -> list[dict[str, Any]]:
    """Masks of any form as codes that fill the frame; the C code that draws them checks nothing."""
    size = [frame.height, frame.width]
    counts, _ = read_masks(masks, [size] * len(masks), names)
    return [{"size": size, "counts": text} for text in counts]


def _by_mask_type(value: Any, mask_types: tuple[MaskType, ...]) -> dict[MaskType, Any]:
    """A box, or one for each mask type."""
    nested = isinstance(value, list) and bool(value) and isinstance(value[0], list)
    return dict(zip(mask_types, value, strict=True)) if nested else {mask_types[0]: value}


def _usable(box: list[float], frame: Frame) -> bool:
    x, y, width, height = box
    inside_x = min(x + width, frame.width) - max(x, 0)
    inside_y = min(y + height, frame.height) - max(y, 0)
    return width >= 1 and height >= 1 and inside_x > 0 and inside_y > 0
