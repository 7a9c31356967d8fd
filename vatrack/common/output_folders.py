"""Folders of output: replaced as a whole or not at all, and scratch folders beside them."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vatrack.common.clutter import is_clutter
from vatrack.common.errors import InputError
from vatrack.common.files import check_target, naming_full_disk
from vatrack.common.paths import followed, real
from vatrack.common.permissions import share


def refuse_other_files(
    folder: Path, known: Callable[[Path], bool], reason: str = "which would be lost"
) -> None:
    """Keeps a command that replaces a whole folder from removing what it did not write.

    Snakemake's time stamp and what operating systems add (`is_clutter`) do not count.

    Args:
        folder: that is to be replaced; it may be missing.
        known: of a file's path in it, whether the command may replace it; `reason`: why not.

    Raises:
        InputError: it contains another file.
    """
    others = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    for path in sorted(path.relative_to(folder) for path in others):
        if not (known(path) or path.name == ".snakemake_timestamp" or is_clutter(path.as_posix())):
            raise InputError(
                f"{folder}: contains {path}, {reason}; choose a new folder for the output"
            )


@contextmanager
def atomic_directory(path: Path | str) -> Iterator[Path]:
    """Like `atomic_path` for a folder; an existing folder at `path` is replaced."""
    path = check_replaced(path)
    with naming_full_disk(path):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
        try:
            yield temporary
            share(temporary, 0o777)
            replace_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaced(path: Path | str) -> Path:
    """`check_target` for a folder that takes the place of an earlier one; links are followed.

    Raises:
        InputError: see `check_target`; or it is the working folder.
    """
    path = followed(check_target(path, folder=True, beside=True))
    if real(path) == Path.cwd():
        raise InputError(f"{path}: is the working folder; choose a new folder for the output")
    return path


def replace_folder(folder: Path, path: Path) -> None:
    """Gives a finished folder beside `path` this name; a folder that has it is removed then."""
    if not path.exists():
        os.replace(folder, path)
        return
    old = Path(tempfile.mkdtemp(prefix=_replaced(path), dir=path.parent))
    os.replace(path, old / path.name)
    os.replace(folder, path)
    shutil.rmtree(old)


def remove_replaced(path: Path) -> None:
    """Removes earlier folders at `path` that killed calls of `replace_folder` left beside it.

    For whoever alone replaces `path`. While it is missing they stay: one may be all there is.
    """
    pattern = glob.escape(_replaced(path)) + "[a-z0-9_]" * 8  # as mkdtemp continues a name
    if path.exists():
        for left in path.parent.glob(pattern):
            shutil.rmtree(left / path.name, ignore_errors=True)
            with suppress(OSError):  # it holds something else: long names may begin alike
                left.rmdir()


def _replaced(path: Path) -> str:
    return f".{path.name[:40]}.old."


@contextmanager
def scratch_directory(path: Path | str) -> Iterator[Path]:
    """Yields a hidden folder beside `path` for work of many files; it is removed afterwards.

    What killed processes left of such folders of the same `path` is removed first: the lock of a
    process ends with it. On file systems without locks such folders stay.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name[:40]}.scratch."
    for left in path.parent.glob(f"{glob.escape(prefix)}*"):
        with suppress(OSError):
            with (left / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left / "files")
            shutil.rmtree(left)
    with naming_full_disk(path), tempfile.TemporaryDirectory(None, prefix, path.parent) as name:
        folder = Path(name)
        (folder / "files").mkdir()
        with (folder / "locking").open("w") as lock:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Under its final name it is locked already, so nobody takes a new folder for one that
            # was left.
            (folder / "locking").rename(folder / "lock")
            yield folder / "files"
