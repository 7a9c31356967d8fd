"""Which files of a folder are the annotations and the images, for `vatrack init-config FOLDER`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.counted import few
from vatrack.common.errors import InputError
from vatrack.common.images import image_exists
from vatrack.common.json_lists import read_lists
from vatrack.common.text_files import no_such

WORDS = {"train": {"train", "training"}, "valid": {"valid", "val", "validation"}}
DEPTH = 3  # of folders that are looked into
SHOWN = 10


@dataclass(frozen=True)
class FoundData:
    """The annotation files and the folder that their file names begin in."""

    train: Path
    valid: Path
    images: Path

    def __str__(self) -> str:
        return f"found: train {self.train}, valid {self.valid}, images {self.images}"


def find_data(
    folder: Path, train: Path | None = None, valid: Path | None = None, images: Path | None = None
) -> FoundData:
    """Finds what is not given.

    Annotation files are JSON files with `train`, or `valid` or `val`, as a word of their name, or
    of their folder's. The folder of the images is the one in which the first and the last image of
    both files are.

    Raises:
        InputError: the folder is missing, nothing fits, or several things do.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: {no_such(folder, 'folder')}; give the folder of your annotations"
        )
    folders = list(_folders(folder))
    files = [
        path
        for each in folders
        for path in sorted(each.iterdir())
        if path.name.lower().endswith((".json", ".json.gz")) and path.is_file()
    ]
    train = train or _only(folder, files, "train")
    valid = valid or _only(folder, files, "valid")
    if images is None:
        names = [*_ends(train), *_ends(valid)]
        fitting = [each for each in folders if all(image_exists(each / name) for name in names)]
        if len(fitting) != 1:
            what = "no subfolder contains" if not fitting else f"{few(fitting, SHOWN)} all contain"
            raise InputError(
                f"{folder}: {what} the images of both files, such as {names[0]}; give --images"
            )
        (images,) = fitting
    return FoundData(train, valid, images)


def _folders(top: Path) -> Iterator[Path]:
    """The folder and those below it, in order, each once; not hidden ones, nor what is deep."""
    seen: set[Path] = set()
    for path, below, _ in os.walk(top, followlinks=True):
        here = Path(path)
        if (whole := here.resolve()) in seen:
            below.clear()
            continue
        seen.add(whole)
        yield here
        deep = len(here.relative_to(top).parts) >= DEPTH
        below[:] = [] if deep else sorted(name for name in below if not name.startswith("."))


def _only(folder: Path, files: list[Path], subset: str) -> Path:
    fitting = [path for path in files if _says(path.name, subset)]
    if not fitting:
        fitting = [
            path for path in files if path.parent != folder and _says(path.parent.name, subset)
        ]
    if len(fitting) == 1:
        return fitting[0]
    word = " or ".join(sorted(WORDS[subset]))
    if fitting:
        raise InputError(
            f"{folder}: several files could be for {subset} ({few(fitting, SHOWN)}); choose one "
            f"with --{subset}"
        )
    there = f"found: {few(files, SHOWN)}" if files else "found no JSON file"
    raise InputError(f"{folder}: no JSON file has {word} in its name ({there}); give --{subset}")


def _says(name: str, subset: str) -> bool:
    return bool(WORDS[subset] & set(re.split(r"[^a-z]+", name.lower())))


def _ends(path: Path) -> list[str]:
    """The file names of the first and the last image of a file."""
    names = [
        str(item.value.get("file_name"))
        for item in read_lists(path, required=("images",))
        if item.section == "images"
    ]
    if not names:
        raise InputError(f"{path}: contains no images; give another file with --train or --valid")
    return [names[0], names[-1]]
