"""What a store holds, and how it is written while its annotation file is made or read."""

from __future__ import annotations

import zlib
from array import array
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from safetensors.numpy import save

from vatrack.common.files import atomic_path
from vatrack.common.rle import Ints
from vatrack.data.columns import rows_of_ids

FORMAT = "vatrack-store-3"
COLUMNS = ("image_id", "video_id", "frame_id", "width", "height", "first", "count")


def store_path(source: Path) -> Path:
    """The path of the store of an annotation file."""
    return source.with_name(f"{source.name}.store")


class StoreWriter:
    """Collects where annotations are while they are written or read, in any order of frames.

    Args:
        videos, images: the lists of the annotation file.
        categories: name to category id, in the order of the file.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: a field is missing in the lists, or a number
            in them is none.
    """

    def __init__(
        self,
        videos: list[dict[str, Any]],
        images: list[dict[str, Any]],
        categories: Mapping[str, int] | None = None,
    ) -> None:
        by_video: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for image in images:
            by_video[image["video_id"]].append(image)
        self.clips = [(video["id"], video["name"]) for video in videos]
        self.categories = list((categories or {}).items())
        ordered = [
            sorted(by_video[video], key=lambda image: image["frame_id"]) for video, _ in self.clips
        ]
        self.bounds = np.cumsum([0, *map(len, ordered)])
        frames = [image for images in ordered for image in images]
        names = [str(image["file_name"]).encode() for image in frames]
        self.frames = np.zeros(len(frames), row_type(max(map(len, names), default=1) or 1))
        for name in COLUMNS[:5]:
            numbers = np.array([image["id" if name == "image_id" else name] for image in frames])
            if len(numbers) and numbers.dtype.kind != "i":
                raise TypeError(f"{name} of an image is not an integer")
            self.frames[name] = numbers
        self.frames["file_name"] = names
        self.columns = [array("q") for _ in range(4)]

    def add(
        self, image_ids: Ints, offsets: Ints, lengths: Ints, checksums: Ints | None = None
    ) -> None:
        """Adds n annotations.

        Args:
            image_ids: (n,) their images; `offsets`, `lengths`: (n,) their texts in bytes.
            checksums: (n,) CRC-32 of the texts, where they have a file of their own.
        """
        given = np.zeros(len(offsets), np.int64) if checksums is None else checksums
        for column, values in zip(self.columns, (image_ids, offsets, lengths, given), strict=True):
            column.frombytes(np.ascontiguousarray(values, np.int64).tobytes())

    def write(self, state: list[int], target: Path) -> None:
        """Writes the store of a file with that `source_state`, without annotations of unknown
        images."""
        images, *columns = (np.frombuffer(column, np.int64) for column in self.columns)
        ids = self.frames["image_id"]
        frame = rows_of_ids(ids, images)
        known = np.flatnonzero(frame >= 0)
        order = known[np.argsort(frame[known], kind="stable")]
        self.frames["count"] = np.bincount(frame[known], minlength=len(ids))
        self.frames["first"] = np.cumsum(self.frames["count"]) - self.frames["count"]
        width = self.frames.dtype.itemsize
        arrays: dict[str, npt.NDArray[Any]] = {
            "bounds": np.asarray(self.bounds, np.int64),
            "frames": np.frombuffer(self.frames.tobytes(), np.uint8).reshape(-1, width),
            "spans": np.stack([column[order] for column in columns], axis=1),
        }
        about: dict[str, Any] = {"format": FORMAT, "source": state, "clips": self.clips}
        about["categories"] = self.categories
        about["checksum"] = checksum_of(about, arrays)
        # One key: the library writes several in an order that changes from process to process.
        content = save(arrays, {"store": orjson.dumps(about).decode()})
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)


def source_state(source: Path) -> list[int]:
    """What tells that a file has changed: its size in bytes and its time of change in
    nanoseconds."""
    found = source.stat()
    return [found.st_size, found.st_mtime_ns]


def row_type(name_length: int) -> np.dtype[np.void]:
    """The type of a row of `Store.frames`."""
    return np.dtype([*((name, "<i8") for name in COLUMNS), ("file_name", f"S{name_length}")])


def checksum_of(about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> int:
    """CRC-32 of the metadata and of types, shapes and content of the arrays."""
    described = {name: [values.dtype.str, values.shape] for name, values in arrays.items()}
    checksum = zlib.crc32(orjson.dumps([about, described]))
    for values in arrays.values():
        checksum = zlib.crc32(values.reshape(-1).view(np.uint8).data, checksum)
    return checksum
