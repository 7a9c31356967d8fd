"""A small annotation file, and what its store finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.sailvos.official import mask
from vatrack.common.files import create_text
from vatrack.common.mask_types import MaskType
from vatrack.data import store
from vatrack.data.store import Store

Json = dict[str, Any]


BOTH: tuple[MaskType, ...] = ("amodal", "visible")


def image(number: int, video: int, frame: int) -> Json:
    name = f"clip{video}/images/{frame:06d}.bmp"
    size = {"width": 12, "height": 8}
    return {"id": number, "video_id": video, "frame_id": frame, "file_name": name, **size}


def item(number: int, image_id: int, instance: int = 1, **changes: Any) -> Json:
    base: Json = {"id": number, "image_id": image_id, "category_id": 3, "instance_id": instance}
    masks = [mask(3 * number), mask(3 * number + 1)]
    shape = {"bbox": [1.0, 1.0, 5.0, 4.0], "segmentation": masks, "area_visible": 4}
    return base | {"iscrowd": 0} | shape | changes


def small() -> Json:
    """Two clips; frames, clips and annotations out of order; a frame without annotations; ids with
    gaps."""
    items = [(5, 30), (2, 10), (9, 99), (7, 30, 2), (1, 12), (3, 10, 2)]
    images = [(12, 4, 7), (11, 4, 2), (30, 2, 0), (10, 4, 0), (31, 2, 1)]
    videos = {4: "clip4", 2: "clip2", 5: "empty"}
    return {
        "info": {"year": 2021},
        "annotations": [item(*values) for values in items],
        "images": [image(*values) for values in images],
        "videos": [{"id": number, "name": name} for number, name in videos.items()],
    }


def write(path: Path, data: Json | None = None) -> Path:
    with create_text(path) as stream:  # also where a test says that nothing can be written
        json.dump(small() if data is None else data, stream)
    return path


@contextmanager
def builds() -> Iterator[list[Path]]:
    """The stores that are built meanwhile."""
    found: list[Path] = []
    real = store._build

    def build(source: Path, target: Path) -> None:
        found.append(target)
        real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_build", build)
        yield found


def ids(found: Store) -> dict[int, list[int]]:
    """Image id to the ids of its annotations."""
    return {
        image_id: [value["id"] for value in found.annotations(number)]
        for number, image_id in enumerate(found.frames["image_id"].tolist())
    }


EXPECTED = {10: [2, 3], 11: [], 12: [1], 30: [5, 7], 31: []}
