"""Writing files: whole or not at all, gzip by suffix, errors that name the file."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import yaml

from vatrack.common.errors import BROKEN_LINK, InputError
from vatrack.common.locks import opened_folder
from vatrack.common.paths import followed, refuse_special, same_file
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
