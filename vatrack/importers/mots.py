"""KITTI MOTS and MOTSChallenge: text files or 16-bit PNG id maps; visible masks of cars and people.

An id is class * 1000 + number. Frames are matched to images by the numbers in their names, so it
does not matter that KITTI counts from 0 and the challenge from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vatrack.common.bitmaps import encode_bitmap
from vatrack.common.clutter import is_clutter
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.frame_folders import frames_below
from vatrack.common.images import SUFFIXES
from vatrack.common.json_types import Json
from vatrack.common.mots import IDS, IGNORED, read_lines
from vatrack.common.text_files import no_such
from vatrack.importers.dataset import (
    ONLY_VISIBLE,
    Dataset,
    Frames,
    Object,
    Settings,
    categories,
    read_id_map,
)

CLASSES = {1: "car", 2: "pedestrian"}
Sequence = tuple[Path, dict[int, Json]]  # text file or folder of PNG files, images by frame


def read(settings: Settings) -> Dataset:
    """Reads text files `<sequence>.txt` or `<sequence>/gt/gt.txt`, or folders `<sequence>/*.png`.

    The images of a sequence are in `<images>/<sequence>/` or `<images>/<sequence>/img1/`. Images
    without an object are frames too.
    """
    frames, sequences = Frames(), []
    for path, name in _labels(settings.sources):
        folder = settings.images / name
        folder = folder / "img1" if (folder / "img1").is_dir() else folder
        video, images = frames.video(name), {}
        for position, (number, file) in enumerate(_frame_files(folder).items()):
            shown = file.relative_to(settings.images).as_posix()
            images[number] = frames.image_like(video, position, shown, file)
        sequences.append((path, images))
    notes: list[str] = []
    objects = _objects(sequences, notes)
    return Dataset(categories(CLASSES), frames, objects, lacks=ONLY_VISIBLE, notes=notes)


def _labels(sources: tuple[Path, ...]) -> list[tuple[Path, str]]:
    """Text files and folders of id maps, with the names of their sequences."""
    found: list[tuple[Path, str]] = []
    for source in sources:
        if source.is_file():
            found.append((source, _sequence(source)))
            continue
        texts = _files(source, "*.txt") + _files(source, "*/gt/gt.txt")
        maps = sorted({path.parent for path in _files(source, "*/*.png")})
        if not texts and not maps and _files(source, "*.png"):
            maps = [source]
        if not texts and not maps:
            raise InputError(
                f"{source}: contains no <sequence>.txt, <sequence>/gt/gt.txt or <sequence>/*.png; "
                "give the folder instances_txt or instances"
            )
        found += [(path, _sequence(path)) for path in texts]
        found += [] if texts else [(path, path.name) for path in maps]
    names = [name for _, name in found]
    for path, name in found:
        if names.count(name) > 1:
            raise InputError(f"{path}: sequence {name} exists twice; give one source of it")
    return found


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if not is_clutter(path.name))


def _sequence(path: Path) -> str:
    return path.parent.parent.name if path.name == "gt.txt" else path.stem


def _frame_files(folder: Path) -> dict[int, Path]:
    """The images of a folder by the number that ends their names.

    Raises:
        InputError: there is no such folder, no image in it, or a number twice.
    """
    found: dict[int, Path] = {}
    if not folder.is_dir():
        raise InputError(f"{folder}: {no_such(folder, 'folder')}; check --images")
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        digits = path.stem[len(path.stem.rstrip("0123456789")) :]
        if not digits:
            raise InputError(
                f"{path}: its name does not end in a frame number; rename or remove it"
            )
        if int(digits) in found:
            raise InputError(f"{path}: frame {int(digits)} exists twice; remove one")
        found[int(digits)] = path
    if not found:
        if below := frames_below(folder):
            raise InputError(f"{folder}: contains no images; give {below}")
        raise InputError(f"{folder}: contains no images; check --images")
    return dict(sorted(found.items()))


def _objects(sequences: list[Sequence], notes: list[str]) -> Iterator[Object]:
    ignored = 0
    for path, images in sequences:
        found = _from_maps(path, images) if path.is_dir() else _from_text(path, images)
        for item in found:
            if item.category_id == IGNORED:
                ignored += 1
            else:
                yield item
    if ignored:
        notes.append(f"skipped {counted(ignored, 'ignore region')}")


def _from_text(path: Path, images: dict[int, Json]) -> Iterator[Object]:
    for line in read_lines(path):
        image = _image(images, line.frame, line.where)
        yield _object(line.where, image, line.track, line.category, line.mask)


def _from_maps(folder: Path, images: dict[int, Json]) -> Iterator[Object]:
    for frame, path in _frame_files(folder).items():
        image = _image(images, frame, str(path))
        ids = read_id_map(path)
        if ids.dtype != np.uint16:
            raise InputError(
                f"{path}: has {ids.dtype.itemsize * 8} bits, but id maps of MOTS have 16; use those"
            )
        if ids.shape != (image["height"], image["width"]):
            raise InputError(
                f"{path}: is {ids.shape[1]} x {ids.shape[0]} pixels, but its image "
                f"{image['file_name']} is {image['width']} x {image['height']}; use annotations "
                "and images of the same dataset"
            )
        for track in np.unique(ids[ids > 0]).tolist():
            where = f"{path}: id {track}"
            yield _object(where, image, track, track // IDS, encode_bitmap(ids == track))


def _image(images: dict[int, Json], frame: int, where: str) -> Json:
    if frame not in images:
        numbers = f"{min(images)} to {max(images)}"
        raise InputError(
            f"{where}: no image has the number {frame} (found {numbers}); check --images"
        )
    return images[frame]


def _object(where: str, image: Json, track: int, category: int, mask: Json) -> Object:
    if category not in (*CLASSES, IGNORED) or track // IDS != category:
        raise InputError(
            f"{where}: class {category} of id {track} is not 1 (car), 2 (pedestrian) or 10 "
            "(ignore), the first digits of the id; correct it"
        )
    return Object(where, image, category, track=track, visible=mask, fields={"track_id": track})
