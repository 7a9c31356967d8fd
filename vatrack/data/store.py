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
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from safetensors import SafetensorError, safe_open

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.common.json_lists import Texts, read_lists
from vatrack.common.paths import real
from vatrack.common.text_files import check_source, is_packed, no_such
from vatrack.config.file_classes import FileClasses
from vatrack.data.checks import AnnotationChecks
from vatrack.data.known_forms import AMODAL, JOINT, LISTING, wants
from vatrack.data.store_writer import (
    COLUMNS,
    FORMAT,
    StoreWriter,
    checksum_of,
    row_type,
    source_state,
    store_path,
)


class _Damaged(Exception):
    """There is no whole store."""


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
        self.frames = rows.reshape(-1).view(row_type(rows.shape[1] - 8 * len(COLUMNS)))
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

    def content(self) -> str:
        """A digest of the texts of all annotations, in the order of the frames."""
        digest = hashlib.sha256()
        for text in self._reader.read_all(*self.spans.T.tolist()):
            digest.update(text)
        return digest.hexdigest()


@wants(source=(JOINT, AMODAL, LISTING))
def require_annotations(source: Path) -> None:
    """Refuses an annotation file that is not there.

    Raises:
        InputError: it is missing, a folder, a pipe or a device.
    """
    if not source.exists():
        # Where train/ or valid/ was given, and the folder above is wanted, it would be found there.
        given = source.absolute().parent.parent
        subset = given.parent / source.parent.name
        if all((folder / source.name).is_file() for folder in (given, subset)):
            raise InputError(
                f"{source}: {no_such(source, 'file')}; give the folder with train/ and valid/: "
                f"{given.parent}"
            )
        raise InputError(
            f"{source}: {no_such(source, 'file')}; create it with `vatrack convert` (own data: "
            "`vatrack prepare`)"
        )
    check_source(source, "an annotation file")


def open_store(source: Path) -> Store:
    """Opens the store of an annotation file (optionally gzip); rebuilds it where that is needed.

    Where the folder of the file cannot be written, the store goes to the user's cache folder, or,
    where that cannot be written either, to a temporary one.

    Raises:
        InputError: the file is missing or damaged, or not an annotation file; or, where the store
            is built, a field or mask in it is wrong.
    """
    source = Path(source)
    require_annotations(source)
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
            check.finish(lists["videos"], lists["images"])
            classes = FileClasses.of(categories, str(source))
            writer = StoreWriter(lists["videos"], lists["images"], classes.ids)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        found = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{source}: not an annotation file of `vatrack convert` ({found}); convert again"
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
    key = hashlib.sha256(str(real(source)).encode()).hexdigest()[:16]
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


def _read(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """The metadata and the mapped arrays of a store."""
    # Through PyTorch, because the library copies arrays of numpy instead of mapping them.
    with safe_open(path, framework="pt") as stream:
        about = orjson.loads(stream.metadata()["store"])
        arrays = {name: stream.get_tensor(name).numpy() for name in ("bounds", "frames", "spans")}
    for values in arrays.values():
        values.flags.writeable = False
    if about.pop("checksum") != checksum_of(about, arrays):
        raise ValueError("its checksum does not match")
    if about["format"] != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    return about, arrays
