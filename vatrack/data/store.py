"""A memory-mapped index beside an annotation file: `joint.json.store` for `joint.json`.

For every frame it knows the size, the name, and where the texts of its annotations are in the JSON
file. Opening it sums a checksum over the whole file (33 to 42 ms for 104 MB, 95 ms the first time);
processes share its pages. `vatrack convert` writes it; it is rebuilt where it is missing or
damaged, or its source file has changed.

The file is a safetensors file of three arrays (see `Store`). Its metadata holds, as JSON, the size
and time of its source, the clips, the categories, and a checksum of everything, so that a changed
bit anywhere is noticed. Texts of a packed source are kept in a file of their own, each with a
checksum.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from array import array
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.common.json_lists import Texts, read_lists
from vatrack.common.text_files import is_packed
from vatrack.config.classes import FileClasses
from vatrack.data.checks import AnnotationChecks

FORMAT = "vatrack-store-3"
COLUMNS = ("image_id", "video_id", "frame_id", "width", "height", "first", "count")
Ints = npt.NDArray[np.int64]


class _Damaged(Exception):
    """There is no whole store."""


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
        self.frames = np.zeros(len(frames), _row_type(max(map(len, names), default=1) or 1))
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
        by_id = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids, images, sorter=by_id), max(0, len(ids) - 1))
        frame = by_id[at] if len(ids) else at
        known = np.flatnonzero(ids[frame] == images) if len(ids) else np.zeros(0, np.int64)
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
        about["checksum"] = _checksum(about, arrays)
        # One key: the library writes several in an order that changes from process to process.
        content = save(arrays, {"store": orjson.dumps(about).decode()})
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)


class Store:
    """An open store.

    Args:
        path: the store; `source`: the annotation file, which may have changed since.

    Attributes:
        clips: (id, name) of every clip in file order; `bounds`: [clips + 1] their first frames.
        categories: name to category id, in the order of the file.
        frames: structured [F], clip by clip: `COLUMNS` and file_name; the annotations of a frame
            are first .. first + count.
        spans: [A, 2] offset and length of the annotations in `texts`, in bytes.
        texts: the file that holds the annotations.
    """

    def __init__(self, path: Path, source: Path) -> None:
        try:
            about, arrays = _read(path)
            state = source_state(source)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise _Damaged(str(error)) from None
        self.texts = _texts(path, source)
        if about["source"] != state or not self.texts.is_file():
            raise _Damaged("its source file has changed")
        self.clips: list[tuple[int, str]] = [(number, name) for number, name in about["clips"]]
        self.categories: dict[str, int] = dict(about["categories"])
        self.bounds = arrays["bounds"]
        rows = arrays["frames"]
        self.frames = rows.reshape(-1).view(_row_type(rows.shape[1] - 8 * len(COLUMNS)))
        self.spans = arrays["spans"][:, :2]
        self._checksums = arrays["spans"][:, 2] if self.texts != source else None
        self._reader = Texts(self.texts)

    def annotations(self, number: int) -> list[Any]:
        """The parsed annotations of a frame in file order.

        Raises:
            InputError: their texts have changed.
        """
        first, count = int(self.frames[number]["first"]), int(self.frames[number]["count"])
        rows = slice(first, first + count)
        offsets, lengths = self.spans[rows].T.tolist()
        if self._checksums is not None:
            for offset, length, expected in zip(
                offsets, lengths, self._checksums[rows].tolist(), strict=True
            ):
                if zlib.crc32(self._reader.read(offset, length)) != expected:
                    raise InputError(
                        f"{self.texts}: damaged at byte {offset}; delete it to rebuild it"
                    )
        return self._reader.load_all(offsets, lengths)


def open_store(source: Path) -> Store:
    """Opens the store of an annotation file (optionally gzip); rebuilds it where that is needed.

    Where the folder of the file cannot be written, the store goes to the user's cache folder, or,
    where that cannot be written either, to a temporary one.

    Raises:
        InputError: the file is missing or damaged, or not an annotation file; or, where the store
            is built, a field or mask in it is wrong.
    """
    source = Path(source)
    if not source.is_file():
        raise InputError(f"{source}: no such file; create it with `vatrack convert`")
    paths = _store_paths(source)
    for path in paths:
        with suppress(_Damaged):
            return Store(path, source)
    path = next((path for path in paths if _can_write(path.parent)), paths[0])
    _build(source, path)
    try:
        return Store(path, source)
    except _Damaged:
        raise InputError(f"{source}: changed while it was being read; run again") from None


def _build(source: Path, target: Path) -> None:
    state = source_state(source)
    lists: dict[str, list[dict[str, Any]]] = {"videos": [], "images": []}
    categories: list[dict[str, Any]] = []
    columns = [array("q") for _ in range(4)]
    packed = is_packed(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            if packed:
                # Texts inside a packed file cannot be read by their offsets, so they are kept
                # beside the store.
                texts = stack.enter_context(
                    stack.enter_context(atomic_path(_texts(target, source))).open("wb")
                )
            check = AnnotationChecks(source)
            for item in read_lists(source, required=("videos", "images", "annotations")):
                if item.section in lists:
                    lists[item.section].append(item.value)
                    check.small(item.section, item.value)
                elif item.section == "categories":
                    categories.append(item.value)
                elif item.section == "annotations":
                    check.annotation(item.value)
                    offset, length, checksum = item.offset, item.length, 0
                    if packed:
                        text = orjson.dumps(item.value)
                        offset, length, checksum = texts.tell(), len(text), zlib.crc32(text)
                        texts.write(text)
                    row = (item.value["image_id"], offset, length, checksum)
                    for column, value in zip(columns, row, strict=True):
                        column.append(value)
            check.finish()
            classes = FileClasses.of(categories, str(source))
            writer = StoreWriter(lists["videos"], lists["images"], classes.ids)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        found = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{source}: not an annotation file of `vatrack convert` ({found})"
        ) from None
    writer.add(*(np.frombuffer(column, np.int64) for column in columns))
    writer.write(state, target)


def _texts(path: Path, source: Path) -> Path:
    return path.with_name(f"{path.name}.texts") if is_packed(source) else source


def _store_paths(source: Path) -> list[Path]:
    """Where the store of a file may be: beside it, in the user's cache folder, or in /tmp."""
    caches = [Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"]
    with suppress(RuntimeError):  # a user without a name and without HOME
        caches.insert(0, Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"))
    key = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]
    return [
        store_path(source),
        *(cache / "vatrack" / f"{source.name}.{key}.store" for cache in caches),
    ]


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def source_state(source: Path) -> list[int]:
    """What tells that a file has changed: its size in bytes and its time of change in
    nanoseconds."""
    found = source.stat()
    return [found.st_size, found.st_mtime_ns]


def _row_type(name_length: int) -> np.dtype[np.void]:
    """The type of a row of `Store.frames`."""
    return np.dtype([*((name, "<i8") for name in COLUMNS), ("file_name", f"S{name_length}")])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """The metadata and the mapped arrays of a store."""
    # Through PyTorch, because the library copies arrays of numpy instead of mapping them.
    with safe_open(path, framework="pt") as stream:
        about = orjson.loads(stream.metadata()["store"])
        arrays = {name: stream.get_tensor(name).numpy() for name in ("bounds", "frames", "spans")}
    for values in arrays.values():
        values.flags.writeable = False
    if about.pop("checksum") != _checksum(about, arrays):
        raise ValueError("its checksum does not match")
    if about["format"] != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    return about, arrays


def _checksum(about: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> int:
    """CRC-32 of the metadata and of types, shapes and content of the arrays."""
    described = {name: [values.dtype.str, values.shape] for name, values in arrays.items()}
    checksum = zlib.crc32(orjson.dumps([about, described]))
    for values in arrays.values():
        checksum = zlib.crc32(values.reshape(-1).view(np.uint8).data, checksum)
    return checksum
