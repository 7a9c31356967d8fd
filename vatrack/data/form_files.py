"""Files of the annotation forms while they are written, each with its store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from vatrack.common.files import check_target, refuse_same_file
from vatrack.common.json_types import Json
from vatrack.common.locks import filling
from vatrack.common.mask_types import MASK_TYPES
from vatrack.config.file_classes import FileClasses
from vatrack.data.forms import FORMS
from vatrack.data.store_writer import StoreWriter, source_state, store_path

SEPARATOR = b",\n"
NAMES = [f"{form}.json" for form in FORMS] + [f"video_{name}.json" for name in MASK_TYPES]


def check_folder(out: Path, *sources: Path) -> Path:
    """The folder that files of the forms are to be written into.

    Raises:
        InputError: it is a file; or one of the files would be written over a source.
    """
    out = check_target(out, folder=True, beside=True)
    for name in NAMES:
        refuse_same_file(out / name, *sources)
    return out


def move_files(folder: Path, out: Path) -> None:
    """Moves finished files into `out`.

    Whoever is killed here leaves some missing, but never old ones beside new ones, nor those of two
    runs that end at once.
    """
    files = sorted(folder.iterdir())
    with filling(out):
        for file in files:
            (out / file.name).unlink(missing_ok=True)
        for file in files:
            os.replace(file, out / file.name)


class FormFile:
    """A file of one form while it is written, with its store."""

    def __init__(self, stream: Any, store: StoreWriter) -> None:
        self.stream, self.store, self.empty = stream, store, True

    def add(self, items: list[bytes], image_ids: np.ndarray) -> None:
        """Appends texts of annotations, with their images."""
        lengths = np.array([len(item) for item in items], np.int64)
        begin = self.stream.tell() + (0 if self.empty else len(SEPARATOR))
        self.stream.write((b"" if self.empty else SEPARATOR) + SEPARATOR.join(items))
        self.store.add(
            image_ids,
            begin + np.cumsum(lengths + len(SEPARATOR)) - lengths - len(SEPARATOR),
            lengths,
        )
        self.empty = False


@contextmanager
def form_file(path: Path, head: dict[str, list[Json]]) -> Iterator[FormFile]:
    """Opens a file of one form; its store is written at the end."""
    classes = FileClasses.of(head["categories"], str(path))
    store = StoreWriter(head["videos"], head["images"], classes.ids)
    with path.open("wb") as stream:
        write_head(stream, head)
        yield FormFile(stream, store)
        finish(stream)
    store.write(source_state(path), store_path(path))


def write_head(stream: Any, head: dict[str, list[Json]]) -> None:
    """Begins a file with its small lists, up to the annotations."""
    stream.write(b"{")
    for key, items in head.items():
        stream.write(orjson.dumps(key) + b": [\n")
        for number, item in enumerate(items):
            stream.write((SEPARATOR if number else b"") + orjson.dumps(item))
        stream.write(b"],\n")
    stream.write(b'"annotations": [\n')


def finish(stream: Any) -> None:
    """Ends a file that `write_head` began."""
    stream.write(b"]}\n")
    stream.flush()
    os.fsync(stream.fileno())
