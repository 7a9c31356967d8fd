"""What a reader of a foreign dataset hands to the writer, and the checks that readers share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.frame_folders import nearest_with
from vatrack.common.image_headers import BadImage
from vatrack.common.images import check_image, existing_image
from vatrack.common.json_types import Json
from vatrack.common.png import read_png
from vatrack.common.text_files import AGAIN, no_such
from vatrack.data.fields import problem, safe_name, shown

FIX = "correct the file, or download it again"
WRONG_LISTS = f"give the --from of its format, or {AGAIN}"


@dataclass(frozen=True)
class Settings:
    """What is read: the files or folders of annotations, and the folder of the images."""

    sources: tuple[Path, ...]
    images: Path

    def only_source(self) -> Path:
        """The one source of formats that have one.

        Raises:
            InputError: several are given.
        """
        if len(self.sources) > 1:
            raise InputError(
                f"{self.sources[1]}: this format has one source; import each separately"
            )
        return self.sources[0]


@dataclass(frozen=True, slots=True)
class Object:
    """One object in one image, as its source has it.

    Attributes:
        where: what messages call it: file and item.
        image: its item of `Dataset.images`.
        track: its identity within the video; None where the source has none.
        amodal, visible, hidden: masks of any form; None, empty lists and empty text are absent.
        crowd: the source's `iscrowd`, unchecked.
        fields: further fields of its annotation, which stand above computed ones.
    """

    where: str
    image: Json
    category_id: int
    track: Hashable | None = None
    amodal: Any = None
    visible: Any = None
    hidden: Any = None
    crowd: Any = 0
    fields: Mapping[str, Any] = field(default_factory=dict)


class Frames:
    """The videos and images of a dataset while they are listed, numbered as contract 3 has them."""

    def __init__(self) -> None:
        self.videos: list[Json] = []
        self.images: list[Json] = []
        self._names: dict[str, str] = {}
        self._video_names: set[str] = set()

    def video(self, name: str, **further: Any) -> Json:
        """Adds a video; ids count from 1. Its name becomes one that a folder can have."""
        number, name = len(self.videos) + 1, safe_name(name)
        while name in self._video_names:
            name = f"{name}_{number}"
        self._video_names.add(name)
        self.videos.append({"id": number, "name": name, **further})
        return self.videos[-1]

    def image(
        self, video: Json, position: int, name: Any, size: tuple[Any, Any], where: str, **more: Any
    ) -> Json:
        """Adds the image at a position of a video; ids count from 0. `size`: height and width.

        Raises:
            InputError: its name or size is wrong, or an image of that name is there already.
        """
        item = {
            "id": len(self.images),
            "video_id": video["id"],
            "frame_id": position,
            "file_name": name,
            "width": size[1],
            "height": size[0],
            **more,
        }
        for key in ("file_name", "width", "height"):
            if text := problem(key, item[key]):
                raise InputError(f"{where}: {text}; {FIX}")
        if name in self._names:
            raise InputError(
                f"{where}: {name} is already listed by {self._names[name]}; import files with "
                "equal image names separately, each with its own --images"
            )
        self._names[name] = where
        self.images.append(item)
        return item

    def image_like(self, video: Json, position: int, name: str, file: Path) -> Json:
        """Adds the image at a position of a video; `file` has its size, and is named in messages.

        Raises:
            InputError: the file is missing or no image, or as `image`.
        """
        width, height = check_image(file)
        return self.image(video, position, name, (height, width), str(file))


ONLY_VISIBLE = "amodal masks and occlusion rates"  # what a source with visible masks lacks


@dataclass
class Dataset:
    """A foreign dataset in the lists of contract 3; its objects are read while they are written.

    Attributes:
        frames: its videos and images.
        whole_if_absent: an absent visible mask means that nothing is hidden.
        lacks: what the source cannot give.
        notes: sentences on what was left out or corrected; complete when `objects` is exhausted.
    """

    categories: list[Json]
    frames: Frames
    objects: Iterator[Object]
    whole_if_absent: bool = False
    lacks: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def videos(self) -> list[Json]:
        return self.frames.videos

    @property
    def images(self) -> list[Json]:
        return self.frames.images


def categories(names: Mapping[int, str]) -> list[Json]:
    """The classes of a format that has a fixed list, by their ids."""
    return [{"id": number, "name": name} for number, name in names.items()]


def required(item: Mapping[str, Any], key: str, where: str) -> Any:
    """The checked value of a field that must be there.

    Raises:
        InputError: it is missing or wrong.
    """
    if key not in item:
        raise InputError(f"{where}: `{key}` is missing; {FIX}")
    if text := problem(key, item[key]):
        raise InputError(f"{where}: {text}; {FIX}")
    return item[key]


def listed(value: Any, length: int, what: str, where: str) -> list[Any]:
    """A list that must have a length.

    Raises:
        InputError: it is none, or has another length.
    """
    if not isinstance(value, list) or len(value) != length:
        found = counted(len(value), "item") if isinstance(value, list) else shown(value)
        raise InputError(f"{where}: `{what}` is {found}; must be a list of {length}; {FIX}")
    return value


def class_list(items: Iterable[Json], path: Path) -> list[Json]:
    """The classes of a file as `{id, name}`, in its order.

    Raises:
        InputError: there is none, an id or name comes twice, or a name is empty.
    """
    found: list[Json] = []
    for item in items:
        number = required(item, "id", f"{path}: an item of `categories`")
        name = item.get("name")
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{path}: category {number} has no name; give it one")
        found.append({"id": number, "name": name})
    for key in ("id", "name"):
        values = [item[key] for item in found]
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise InputError(f"{path}: category {key} {twice[0]!r} is listed twice; {FIX}")
    if not found:
        raise InputError(f"{path}: its list `categories` is empty or missing; {FIX}")
    return found


def read_id_map(path: Path) -> npt.NDArray[Any]:
    """The one channel of a PNG whose pixels are ids: with all its bits; of a palette the indices.

    Raises:
        InputError: it is missing, unreadable, no PNG, or an image in colour.
    """
    try:
        image = read_png(path).samples
    except FileNotFoundError:
        raise InputError(f"{path}: {no_such(path, 'file')}; {FIX}") from None
    if image.ndim == 3 and image.shape[2] == 3 and (image == image[..., :1]).all():
        image = image[..., 0]  # grey values that were saved three times
    if image.ndim != 2:
        raise InputError(
            f"{path}: has {counted(image.shape[2], 'channel')}, but an id map has one; use the "
            "file with ids, not its colour rendering"
        )
    return image


def check_images(images: list[Json], folder: Path) -> list[str]:
    """Notes on images that are not in their folder, or that no command could read there.

    Raises:
        InputError: none of them is there, or none could be read.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: {no_such(folder, 'folder')}; give the image folder with --images"
        )
    missing, bad = list[str](), list[BadImage]()
    for item in images:
        try:
            existing_image(folder / item["file_name"])
        except BadImage as error:
            if error.fault == "missing":
                missing.append(item["file_name"])
            else:
                bad.append(error)
    if len(missing) == len(images):
        near = nearest_with(folder, missing[0])
        raise InputError(
            f"{folder}: contains none of the images ({len(images)}), such as {missing[0]}; "
            f"give {near or 'the folder that these names are relative to'} with --images"
        )
    if len(missing) + len(bad) == len(images):
        raise bad[0]
    total = counted(len(images), "image")
    notes = []
    if missing:
        notes.append(f"not in {folder}: {len(missing)} of {total}, such as {missing[0]}")
    if bad:
        notes.append(f"not readable in {folder}: {len(bad)} of {total}, such as {bad[0]}")
    return notes
