"""A memory-mapped index beside an annotation file: `joint.json.store` for `joint.json`.

Of every frame it knows size, name and where the texts of its annotations stand in the JSON file.
Opening it costs milliseconds whatever its size, and processes share its pages. `vatrack convert`
writes it; where it is missing or its source has changed, it is built again.

Layout: magic bytes, the arrays one after another, a JSON description of them, its length as 8
bytes.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.common.json_lists import read_lists

MAGIC = b"vatrack-store-1\n"
Ints = npt.NDArray[np.int64]


def store_path(source: Path) -> Path:
    """The place of the store of an annotation file."""
    return source.with_name(f"{source.name}.store")


class StoreWriter:
    """Collects the places of annotations while they are written or read, in any order of frames.

    Args:
        videos, images: the lists of the annotation file.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: the lists lack something, or a number in
            them is none.
    """

    def __init__(self, videos: list[dict[str, Any]], images: list[dict[str, Any]]) -> None:
        by_video: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for image in images:
            by_video[image["video_id"]].append(image)
        self.clips = [(video["id"], video["name"]) for video in videos]
        ordered = [
            sorted(by_video[video], key=lambda image: image["frame_id"]) for video, _ in self.clips
        ]
        self.bounds = np.cumsum([0, *map(len, ordered)])
        frames = [image for images in ordered for image in images]
        names = [str(image["file_name"]).encode() for image in frames]
        dtype = [
            (name, "i8")
            for name in ("image_id", "video_id", "frame_id", "width", "height", "first", "count")
        ]
        self.frames = np.zeros(
            len(frames), [*dtype, ("file_name", f"S{max(map(len, names), default=1)}")]
        )
        for name in ("image_id", "video_id", "frame_id", "width", "height"):
            numbers = np.array([image["id" if name == "image_id" else name] for image in frames])
            if len(numbers) and numbers.dtype.kind != "i":
                raise TypeError(f"{name} of an image is no whole number")
            self.frames[name] = numbers
        self.frames["file_name"] = names
        self.columns = {name: array("q") for name in ("image", "offset", "length")}

    def add(self, image_ids: Ints, offsets: Ints, lengths: Ints) -> None:
        """Adds annotations: the ids of their images and the places of their texts, each (n,)
        int64."""
        for column, values in zip(
            self.columns.values(), (image_ids, offsets, lengths), strict=True
        ):
            column.frombytes(np.ascontiguousarray(values, np.int64).tobytes())

    def write(self, state: list[int], target: Path) -> None:
        """Writes the store of a file with that `source_state`; annotations of unknown images are
        left out."""
        images, offsets, lengths = (
            np.frombuffer(column, np.int64) for column in self.columns.values()
        )
        ids = self.frames["image_id"]
        by_id = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids, images, sorter=by_id), max(0, len(ids) - 1))
        frame = by_id[at] if len(ids) else at
        known = np.flatnonzero(ids[frame] == images) if len(ids) else np.zeros(0, np.int64)
        order = known[np.argsort(frame[known], kind="stable")]
        self.frames["count"] = np.bincount(frame[known], minlength=len(ids))
        self.frames["first"] = np.cumsum(self.frames["count"]) - self.frames["count"]
        places = (
            np.stack([offsets[order], lengths[order]], axis=1)
            if len(order)
            else np.zeros((0, 2), np.int64)
        )
        arrays = {"bounds": self.bounds, "frames": self.frames, "places": places}
        described: dict[str, Any] = {"source": state, "clips": self.clips, "arrays": {}}
        with atomic_path(target) as temporary, temporary.open("wb") as stream:
            stream.write(MAGIC)
            for name, values in arrays.items():
                stream.write(b"\0" * (-stream.tell() % 64))
                dtype = values.dtype.descr if values.dtype.names else values.dtype.str
                described["arrays"][name] = {
                    "dtype": dtype,
                    "shape": values.shape,
                    "offset": stream.tell(),
                }
                stream.write(values.tobytes())
            text = orjson.dumps(described)
            stream.write(text + len(text).to_bytes(8, "little"))


class Store:
    """An open store.

    Attributes:
        clips: (id, name) of every clip in file order; `bounds`: [clips + 1] their first frames.
        frames: structured [F]: image_id, video_id, frame_id, width, height, first, count,
            file_name; clip by clip.
        places: [A, 2] offset and length of the annotations in `texts`; those of frame f are first
            .. first + count.
        texts: the file that holds the annotations.
    """

    def __init__(self, path: Path, texts: Path) -> None:
        described = _describe(path)
        self.texts = texts
        self.clips: list[tuple[int, str]] = [(number, name) for number, name in described["clips"]]
        arrays = described["arrays"]
        self.bounds, self.frames, self.places = (
            _map(path, arrays[name]) for name in ("bounds", "frames", "places")
        )


def open_store(source: Path) -> Store:
    """Opens the store of an annotation file (optionally .gz); builds it first where it is missing
    or out of date.

    Where the folder of the file cannot be written, the store goes to the user's cache folder.

    Raises:
        InputError: the file is missing or damaged, or not an annotation file.
    """
    source = Path(source)
    if not source.is_file():
        raise InputError(f"{source}: no such file; make it with `vatrack convert`")
    places = [store_path(source), _cache(source)]
    for path in places:
        if _fresh(path, source):
            return Store(path, _texts(path, source))
    path = places[0 if os.access(source.parent, os.W_OK) else 1]
    _build(source, path)
    if not _fresh(path, source):
        raise InputError(f"{source}: has changed while it was read; start again")
    return Store(path, _texts(path, source))


def _build(source: Path, target: Path) -> None:
    state = source_state(source)
    lists: dict[str, list[dict[str, Any]]] = {"videos": [], "images": []}
    columns = {name: array("q") for name in ("image", "offset", "length")}
    packed = source.suffix == ".gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            if packed:
                # Texts inside a packed file cannot be read by their place, so they are kept beside
                # the store.
                texts = stack.enter_context(
                    stack.enter_context(atomic_path(_texts(target, source))).open("wb")
                )
            for entry in read_lists(source, required=("videos", "images", "annotations")):
                if entry.section in lists:
                    lists[entry.section].append(entry.value)
                elif entry.section == "annotations":
                    offset, length = entry.offset, entry.length
                    if packed:
                        text = orjson.dumps(entry.value)
                        offset, length = texts.tell(), len(text)
                        texts.write(text)
                    for column, value in zip(
                        columns.values(), (entry.value["image_id"], offset, length), strict=True
                    ):
                        column.append(value)
            writer = StoreWriter(lists["videos"], lists["images"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        found = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{source}: not an annotation file of `vatrack convert` ({found})"
        ) from None
    writer.add(*(np.frombuffer(column, np.int64) for column in columns.values()))
    writer.write(state, target)


def _texts(path: Path, source: Path) -> Path:
    return path.with_name(f"{path.name}.texts") if source.suffix == ".gz" else source


def _cache(source: Path) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]
    return root / "vatrack" / f"{source.name}.{key}.store"


def source_state(source: Path) -> list[int]:
    """What tells that a file has changed: size in bytes and time of the last change in
    nanoseconds."""
    found = source.stat()
    return [found.st_size, found.st_mtime_ns]


def _fresh(path: Path, source: Path) -> bool:
    """Whether a whole store of the file as it is now is there."""
    try:
        described = _describe(path)
        return described["source"] == source_state(source) and _texts(path, source).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _describe(path: Path) -> dict[str, Any]:
    """Raises OSError, ValueError or TypeError where there is no whole store."""
    with path.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise ValueError("not a store")
        end = stream.seek(-8, os.SEEK_END)
        length = int.from_bytes(stream.read(8), "little")
        if length > end:
            raise ValueError("cut off")
        stream.seek(end - length)
        described = orjson.loads(stream.read(length))
    return dict(described)


def _map(path: Path, described: dict[str, Any]) -> npt.NDArray[Any]:
    kind = described["dtype"]
    dtype = np.dtype(kind if isinstance(kind, str) else [tuple(item) for item in kind])
    shape = tuple(described["shape"])
    if 0 in shape:
        return np.zeros(shape, dtype)  # nothing cannot be mapped
    return np.memmap(path, dtype, mode="r", offset=described["offset"], shape=shape)
