"""What every subcommand does with the paths on its command line before it works."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import ConfigError, InputError
from vatrack.common.paths import same_file
from vatrack.config.reading import config_name
from vatrack.runs.folder import RunFolder

# Options that name what is written, by function; every other path is read.
WRITTEN = {
    "evaluate": ("out", "details"),
    "merge_evaluations": ("out", "details"),
    "overlay": ("out", "video"),
    "unpack": ("out", "record"),
}
# What is written beside --out.
BESIDE: dict[str, Callable[[Path], Path]] = {
    "merge_predictions": lambda out: RunFolder(out.parent).inference,
    "predict": lambda out: RunFolder(out.parent).inference,
    "select": lambda out: RunFolder(out.parent).best_checkpoint,
    "import_checkpoint": lambda out: out.with_name(f"{out.name}.names.txt"),
}
# Options of a folder, and those of files that are given beside one, as users know them.
FOLDER_OPTIONS = ("images", "raw", "annotations")
FILE_OPTIONS = ("frames", "ground_truth", "joint", "train", "valid", "index", "structure")
FOLDERS = ("run",)  # in which a command reads some files and writes others


def with_files(command: Callable[..., None]) -> Callable[..., None]:
    """A subcommand that takes pipes as input, and that refuses to write over what it reads or
    what it cannot have written.

    A pipe (`<(...)`, /dev/stdin) is read once, into a temporary file.
    """
    written = WRITTEN.get(command.__name__, ("out",))
    beside = BESIDE.get(command.__name__)

    @functools.wraps(command)
    def checked(**given: Any) -> None:
        sources = {
            name: [path for path in _listed(value) if isinstance(path, Path)]
            for name, value in given.items()
            if name not in written and name not in FOLDERS
        }
        targets = [
            (f"--{output} {given[output]}", given[output])
            for output in written
            if given.get(output) is not None
        ]
        if beside:
            target = beside(given["out"])
            targets.append((f"{target}, written next to --out", target))
        _refuse_exchanged(given)
        for shown, target in targets:
            for name, paths in sources.items():
                for path in paths:
                    if same_file(target, path):
                        raise InputError(
                            f"{shown}: would overwrite the input {path} ({name}); choose another "
                            "name or folder"
                        )
        for output in written:
            if isinstance(file := given.get(output), Path) and file.is_file():
                from vatrack.cli.replaced import refuse_lost_file  # loads numpy

                refuse_lost_file(command.__name__, output, file)
        with tempfile.TemporaryDirectory(prefix="vatrack-pipe-") as folder:
            copies: dict[str, str] = {}
            for name, paths in sources.items():
                if any(path.is_fifo() for path in paths):
                    taken = [_taken(path, Path(folder), copies) for path in paths]
                    given[name] = taken if isinstance(given[name], list) else taken[0]
            try:
                command(**given)
            except InputError as error:
                if isinstance(error, ConfigError) and (config := given.get("config")):
                    error.source = config_name(config, overrides=given.get("overrides"))
                text = str(error)
                for copy, name in copies.items():
                    text = text.replace(copy, name)
                raise (error if text == str(error) else InputError(text)) from None

    return checked


def _refuse_exchanged(given: Mapping[str, Any]) -> None:
    """Refuses a file and a folder that are given in place of each other."""
    for folder in FOLDER_OPTIONS:
        for file in FILE_OPTIONS:
            first, second = given.get(file), given.get(folder)
            if not (isinstance(first, Path) and isinstance(second, Path)):
                continue
            if first.is_dir() and second.is_file():
                options = [f"--{name.replace('_', '-')}" for name in (file, folder)]
                raise InputError(
                    f"{options[0]} {first}: is a folder, and {options[1]} {second} a file; "
                    "exchange the two"
                )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _taken(path: Path, folder: Path, copies: dict[str, str]) -> Path:
    """The path itself, or that of a file with what a pipe gives."""
    if not path.is_fifo():
        return path
    numbered = folder / str(len(copies))
    numbered.mkdir()
    copy = numbered / path.name
    with path.open("rb") as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target)
    copies[str(copy)] = str(path)
    return copy
