"""The videos, frames and classes that predictions belong to, by the names that other tools use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vatrack.common.counted import few
from vatrack.common.errors import InputError
from vatrack.common.similar import meant
from vatrack.common.value_files import read_json
from vatrack.evaluation.io.checks import field_of, list_of
from vatrack.evaluation.io.ground_truth import Images, read_images

SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Video:
    """A video: `rows` are those of its images in `Images`, by their order in time."""

    id: int
    name: str
    rows: tuple[int, ...]
    file_names: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """What a joint JSON lists.

    Attributes:
        categories: id to name.
        document: the whole JSON, for forms that need the true objects.
    """

    path: Path
    images: Images
    videos: tuple[Video, ...]
    categories: Mapping[int, str]
    document: Any

    @cached_property
    def video_of(self) -> dict[int, Video]:
        """Videos by id."""
        return {video.id: video for video in self.videos}

    def by_name(self, name: str, source: Path | str) -> Video:
        """The video that a file is named after.

        Raises:
            InputError: there is none of that name.
        """
        for video in self.videos:
            if file_stem(video) == name:
                return video
        names = sorted(file_stem(video) for video in self.videos)
        hint = meant(name, names, f"name the file after one of its videos: {few(names, SHOWN)}")
        raise InputError(f"{source}: {self.path} has no video {name!r}{hint}")

    def check_category(self, number: int, source: str) -> None:
        """Raises InputError where there is no class of this id."""
        if number not in self.categories:
            known = few((f"{key} {name}" for key, name in self.categories.items()), SHOWN)
            raise InputError(
                f"{source}: class {number} is not in {self.path} (classes: {known}); correct it"
            )


def read_listing(path: Path) -> Listing:
    """Reads the lists of a joint JSON (contract 3); annotations may be missing.

    Raises:
        InputError: a list or field is missing or wrong.
    """
    document = read_json(path)
    images = read_images(document, str(path))
    files = {
        item["id"]: str(item.get("file_name", item["id"]))
        for item in list_of(document, "images", str(path))
    }
    videos = []
    for item in list_of(document, "videos", str(path)):
        rows = images.rows_of(item["id"])
        videos.append(
            Video(
                item["id"],
                str(field_of(item, "name", str(path), "videos")),
                tuple(rows.tolist()),
                tuple(files[image] for image in images.id[rows].tolist()),
            )
        )
    stems = [file_stem(video) for video in videos]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise InputError(f"{path}: two videos would be written as {twice!r}; rename one")
    categories = {
        item["id"]: str(item.get("name", item["id"]))
        for item in list_of(document, "categories", str(path))
    }
    return Listing(Path(path), images, tuple(videos), categories, document)


def file_stem(video: Video) -> str:
    """The name of a video as that of a file: what paths cannot hold becomes an underscore."""
    stem = "".join("_" if letter in '/\\:*?"<>|\0' else letter for letter in video.name)
    return stem.strip(". ") or f"video_{video.id}"
