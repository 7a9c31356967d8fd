"""Writing files: whole or not at all, gzip by suffix, errors that name the file."""

from __future__ import annotations

import errno
import fcntl
import glob
import gzip
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import yaml

from vatrack.common.clutter import is_clutter
from vatrack.common.errors import BROKEN_LINK, InputError
from vatrack.common.locks import opened_folder
from vatrack.common.paths import followed, real, refuse_special, same_file
from vatrack.common.permissions import share

NOT_A_FOLDER = "part of this path is a file or a broken link, not a folder; choose another path"


def check_target(path: Path | str, *, folder: bool = False, beside: bool = False) -> Path:
    """The path of something that is to be written, with the folder that it will be in; long work
    calls this before it starts.

    Args:
        folder: it is a folder, which is written in.
        beside: and it, or what goes into it, is made under another name beside it.

    Raises:
        InputError: a file is where a folder must be, or the other way round; or it is a device, a
            pipe or the like; or its links lead in a circle.
        PermissionError: the folder may not be written.
    """
    path = Path(path)
    refuse_special(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOENT:  # in /proc, for example
            raise InputError(
                f"{path}: its folder cannot be created there; choose another place for the output"
            ) from None
        if error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
            raise
        raise InputError(f"{path}: {NOT_A_FOLDER}") from None
    if path.exists() and path.is_dir() != folder:
        raise InputError(
            f"{path}: is a {'file, not a folder' if folder else 'folder, not a file'}; choose "
            "another name for the output"
        )
    if (target := followed(path)).is_symlink():  # of links in a circle one remains
        raise InputError(f"{path}: {BROKEN_LINK}; choose another name for the output")
    if target != path:
        check_target(target, folder=folder, beside=beside)
        return path
    places = {path if path.is_dir() else path.parent} | ({path.parent} if beside else set())
    if not all(os.access(place, os.W_OK | os.X_OK) for place in places):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return path


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


def require_ending(path: Path, what: str, *endings: str) -> None:
    """Refuses an output whose name ends otherwise: an existing file of that name is most likely not
    an earlier output, and what reads it later may take it for something else.

    Args:
        what: the output and its form, for the message.

    Raises:
        InputError: the name has none of these endings.
    """
    if not path.name.lower().endswith(endings):
        raise InputError(f"{path}: {what}; its name must end in {' or '.join(endings)}")


def require_json(path: Path, what: str) -> None:
    """`require_ending` for JSON; `what`: the output, with "is" or "are"."""
    require_ending(path, f"{what} JSON", ".json", ".json.gz")


def require_lines(path: Path) -> None:
    """`require_ending` for predictions."""
    require_ending(path, "predictions are JSON Lines", ".jsonl", ".jsonl.gz")


def refuse_same_file(out: Path | str, *sources: Path | str) -> None:
    """Keeps a command from writing over what it reads, also by another name of it.

    Raises:
        InputError: both are one file.
    """
    for source in sources:
        if Path(source).exists() and same_file(source, out):
            raise InputError(f"{out}: would overwrite the input {source}; choose another --out")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path beside `path`; when the block ends well it becomes `path`, otherwise
    it is removed.

    The temporary name keeps the suffixes of `path`, so that writers that look at them (OpenCV,
    numpy) work.
    """
    path = followed(check_target(path))
    with naming_full_disk(path):
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.stem[:40]}.", suffix="".join(path.suffixes), dir=path.parent
        )
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            share(temporary, 0o666)
            os.replace(temporary, path)
            # So that the name outlasts a power failure; some network file systems cannot do that.
            with opened_folder(path.parent) as folder, suppress(OSError):
                os.fsync(folder)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


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


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Makes the error of a full disk, or of a file that is too large, name what was being written,
    where it names nothing or what lies under a hidden temporary name for `path`.
    """
    try:
        yield
    except OSError as error:
        named = error.filename2 or error.filename
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or (
            named is not None and f"/.{path.stem[:40]}" not in str(named)
        ):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


@contextmanager
def create_text(path: Path) -> Iterator[IO[str]]:
    """Opens a UTF-8 text file for writing, through gzip (without a time stamp) where the name ends
    in .gz."""
    if path.suffix.lower() != ".gz":
        with path.open("w", encoding="utf-8") as stream:
            yield stream
        return
    # gzip leaves a file that it is handed open, so all three are closed here.
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=4, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8") as text,
    ):
        yield text


def write_json(path: Path | str, value: Any, *, indent: int | None = None) -> None:
    """Writes JSON (optionally .gz), whole or not at all; NaN and infinity are refused."""
    with atomic_path(path) as temporary, create_text(temporary) as stream:
        json.dump(value, stream, indent=indent, allow_nan=False)
        stream.write("\n")


def sha256_of(path: Path) -> str:
    """The checksum of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text(path: Path | str, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_yaml(path: Path | str, value: Any) -> None:
    """Writes plain values as YAML in their own order, whole or not at all."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
