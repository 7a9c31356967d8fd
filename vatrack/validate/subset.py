"""What is kept of an annotation file while it is validated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vatrack.common.rle import Ints

NONE = -(2**63)  # stands for a missing number; no number of the file has this value
MASKS = ("segmentation", "visible_mask", "invisible_mask")
SIZE_SHIFT = 32
LONGEST_NUMBER = 18  # digits
# What is kept of an annotation: numbers of the file, and the sizes of its masks as one number each
# (see `pack_size`).
COLUMNS = ("id", "image_id", "category_id", "obj_id", "instance_id", "model_id", *MASKS)


@dataclass(frozen=True)
class Video:
    """A video of the list; numbers that are missing or broken are None."""

    name: str
    id: int | None
    num_frames: int | None
    num_objs: int | None


@dataclass(frozen=True)
class Image:
    """An image of the list; what is missing or broken is None."""

    id: int
    video: str | None
    file: str | None
    video_id: int | None
    frame_id: int | None
    size: tuple[int, int] | None  # height, width

    @property
    def path(self) -> str:
        """Where its file is, for people."""
        return f"{self.video}/images/{self.file}" if self.file else "without a file"


@dataclass
class Subset:
    """What is kept of an annotation file.

    Attributes:
        name: name of the subset.
        ended: the file could be read to its end.
        whole: it also has all its lists, so that what is not in it is missing.
        categories: ids and names; models: ids.
        unusable: names of listed videos that cannot be used and are not in `videos`.
        annotations: int64 [N] for each of `COLUMNS`, in file order, `NONE` where there is nothing.
        total: number of annotations in the file, also of those that are too broken to be kept.
    """

    name: str
    path: Path
    ended: bool = False
    whole: bool = False
    categories: list[tuple[int | None, Any]] = field(default_factory=list)
    models: list[int] = field(default_factory=list)
    videos: list[Video] = field(default_factory=list)
    unusable: set[str] = field(default_factory=set)
    images: list[Image] = field(default_factory=list)
    annotations: dict[str, Ints] = field(default_factory=dict)
    total: int = 0

    def by_video(self) -> dict[str, list[Image]]:
        """The images of every listed video, in file order."""
        found: dict[str, list[Image]] = {video.name: [] for video in self.videos}
        for image in self.images:
            if image.video in found:
                found[image.video].append(image)
        return found


def pack_size(height: int, width: int) -> int:
    """A size as one number, so that sizes are compared in bulk."""
    return height << SIZE_SHIFT | width


def unpack_size(packed: int) -> tuple[int, int]:
    """Height and width of a packed size."""
    return packed >> SIZE_SHIFT, packed & (1 << SIZE_SHIFT) - 1


def shown_size(size: tuple[int, int] | None) -> str:
    """A size, height and width, for messages."""
    return f"{size[1]} x {size[0]}" if size else "unknown"


def split_suffix(name: str) -> tuple[str, str]:
    """Stem and lower-case suffix of a file name; faster than `Path` for very many."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix.lower()) if stem else (name, "")


def file_number(name: str) -> int | None:
    """The number that a frame's file name consists of; None for another name."""
    stem, _ = split_suffix(name)
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) < LONGEST_NUMBER else None
