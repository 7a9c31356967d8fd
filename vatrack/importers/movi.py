"""MOViD-A and the MOVi sets of EoRaS: a folder a video with id maps, and one of each object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vatrack.common.bitmaps import encode_bitmap
from vatrack.common.counted import counted
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

_NAME = re.compile(r"segmentation_(?P<object>full|\d+)_(?P<frame>\d+)\.png")
_FULL = -1  # in place of an object's number: the map of all objects
_Maps = dict[int, Path]  # by object
_Labels = tuple[_Maps, Json, dict[int, int]]


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
            if _NAME.fullmatch(path.name)
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
    notes: list[str] = []
    partial = 0
    for folder in folders:
        classes = {n: numbers[name] for n, name in enumerate(names_of[folder])}
        video = frames.video(folder.name)
        found = _frames(folder)
        whole = [maps for maps in found if _FULL in maps]
        partial += len(found) - len(whole)
        for position, maps in enumerate(whole):
            digits = maps[_FULL].stem.removeprefix("segmentation_full_")
            name = f"{folder.name}/rgba_full_{digits}.png"
            labels.append((maps, frames.image_like(video, position, name, maps[_FULL]), classes))
    if partial:
        notes.append(f"skipped {counted(partial, 'frame')} without segmentation_full_<frame>.png")
    listed = categories({number: name for name, number in numbers.items()})
    return Dataset(listed, frames, _objects(labels, numbers, notes), notes=notes)


def _frames(folder: Path) -> list[_Maps]:
    """The id maps of every frame, by the number of the frame; names may pad it with zeros or not.

    Raises:
        InputError: there are two maps of an object in a frame.
    """
    found: dict[int, _Maps] = {}
    for path in sorted(folder.iterdir()):
        if match := _NAME.fullmatch(path.name):
            number = _FULL if match["object"] == "full" else int(match["object"])
            maps = found.setdefault(int(match["frame"]), {})
            if number in maps:
                raise InputError(
                    f"{path}: {maps[number]} is of the same object and frame; remove one"
                )
            maps[number] = path
    return [maps for _, maps in sorted(found.items())]


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


def _objects(labels: list[_Labels], numbers: dict[str, int], notes: list[str]) -> Iterator[Object]:
    alone = 0
    for maps, image, classes in labels:
        visible = read_id_map(maps[_FULL])
        seen = np.unique(visible[visible > 0]).astype(np.int64) - 1
        alone += int((~np.isin(seen, list(maps))).sum())
        for number, own in sorted(maps.items()):
            if number == _FULL:
                continue
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
    if alone:
        notes.append(
            f"skipped {counted(alone, 'visible object')} without a map of its own, "
            "segmentation_<object>_<frame>.png"
        )
