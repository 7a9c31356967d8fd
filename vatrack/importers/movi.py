"""MOViD-A and the MOVi sets of EoRaS: a folder a video with id maps, and one of each object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vatrack.common.bitmaps import encode_bitmap
from vatrack.common.errors import InputError
from vatrack.common.json_types import Json
from vatrack.common.value_files import read_json
from vatrack.importers.dataset import (
    FIX,
    Dataset,
    Frames,
    Object,
    Settings,
    categories,
    read_id_map,
)

_NAME = re.compile(r"segmentation_(?P<object>\d+)_(?P<frame>\d+)\.png")
_Labels = tuple[Path, int, Json, list[int], dict[int, int]]


def read(settings: Settings) -> Dataset:
    """Reads the folders below the sources that hold `segmentation_full_<frame>.png`.

    In all id maps the pixels of object n are n + 1. Classes are the `category` of the instances in
    `metadata.json`, in alphabetical order; without one all are `object`. Images are
    `rgba_full_<frame>.png`, in the same folders below the folder of the images.
    """
    frames, labels = Frames(), []
    names_of: dict[Path, list[str]] = {}
    folders = sorted(
        {
            path.parent
            for source in settings.sources
            for path in source.rglob("segmentation_full_*.png")
        }
    )
    if not folders:
        raise InputError(
            f"{settings.sources[0]}: contains no segmentation_full_<frame>.png; give the "
            "folder of a video"
        )
    for folder in folders:
        names_of[folder] = _classes(folder)
    names = sorted({name for found in names_of.values() for name in found} | _unnamed(names_of))
    numbers = {name: number for number, name in enumerate(names, 1)}
    for folder in folders:
        objects: dict[int, list[int]] = {}
        for path in folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                objects.setdefault(int(match["frame"]), []).append(int(match["object"]))
        classes = {n: numbers[name] for n, name in enumerate(names_of[folder])}
        video = frames.video(folder.name)
        for position, path in enumerate(sorted(folder.glob("segmentation_full_*.png"))):
            digits = path.stem.removeprefix("segmentation_full_")
            name = f"{folder.name}/rgba_full_{digits}.png"
            image = frames.image_like(video, position, name, path)
            labels.append((path, int(digits), image, sorted(objects.get(int(digits), [])), classes))
    listed = categories({number: name for name, number in numbers.items()})
    return Dataset(listed, frames, _objects(labels, numbers))


def _unnamed(names_of: dict[Path, list[str]]) -> set[str]:
    return {"object"} if any(not found for found in names_of.values()) else set()


def _classes(folder: Path) -> list[str]:
    path = folder / "metadata.json"
    if not path.is_file():
        return []
    document = read_json(path)
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list):
        return []
    found = []
    for number, item in enumerate(instances):
        name = item.get("category", "object") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name:
            raise InputError(f"{path}: instance {number} has no string `category`; {FIX}")
        found.append(name)
    return found


def _objects(labels: list[_Labels], numbers: dict[str, int]) -> Iterator[Object]:
    for path, _, image, objects, classes in labels:
        visible = read_id_map(path)
        digits = path.stem.removeprefix("segmentation_full_")
        for number in objects:
            own = path.with_name(f"segmentation_{number}_{digits}.png")
            if classes and number not in classes:
                raise InputError(f"{own}: metadata.json has no instance {number}; {FIX}")
            yield Object(
                str(own),
                image,
                classes[number] if classes else numbers["object"],
                track=number,
                amodal=encode_bitmap(read_id_map(own) == number + 1),
                visible=encode_bitmap(visible == number + 1),
                fields={"obj_id": number},
            )
