"""Text files as users have them, read by content: gzip, byte order marks.

Whatever is raised on bad text becomes one `InputError` with the file.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from vatrack.common.errors import BROKEN_LINK, InputError, with_fix
from vatrack.common.paths import alike, exists, is_link

AGAIN = "download or create it again"
GZIP = b"\x1f\x8b"
NPZ = "an evaluation shard (.npz)"
HEAD = 256  # bytes that tell what a file is; the first name in a zip archive is in them
MARK = b"\xef\xbb\xbf"  # of UTF-8

# Files that are no text at all, and what they are; they begin so.
_BINARY = (
    (re.compile(rb"PK\x03\x04.{26}[^\0]*?data\.pkl", re.DOTALL), "PyTorch weights (.pt)"),
    (re.compile(rb"PK\x03\x04.{26}record\.npy", re.DOTALL), NPZ),
    (re.compile(rb"PK\x03\x04.{26}[^\0]*?\.npy", re.DOTALL), "a NumPy archive (.npz)"),
    (re.compile(rb".{4}\0{4}\{", re.DOTALL), "weights (.safetensors)"),
    (re.compile(rb"\x93NUMPY"), "a NumPy array (.npy)"),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|BM.{4}\0{4}", re.DOTALL), "an image"),
    (re.compile(rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI", re.DOTALL), "a video"),
    (re.compile(rb"%PDF"), "a PDF"),
)
_NOT_TEXT = (
    (re.compile(rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff"), "UTF-16; save it as UTF-8"),
    (re.compile(rb"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]"), "UTF-16; save it as UTF-8"),
    (re.compile(rb"PK\x03\x04"), "a zip archive; unpack it"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "compressed with zstd; decompress it"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "compressed with bzip2; decompress it"),
    (re.compile(rb"\xfd7zXZ\0"), "compressed with xz; decompress it"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive; unpack it"),
    (
        re.compile(rb"version https://git-lfs"),
        "a Git LFS pointer; get the file with `git lfs pull`",
    ),
    (re.compile(rb"\s*<(!doctype )?html", re.IGNORECASE), "an HTML page; download the file again"),
)


class NotText(InputError):
    """A file that is no text at all.

    Attributes:
        found: what it is.
    """

    found = ""


def nearest_existing(path: Path) -> Path:
    """The path itself, or the nearest folder (or file, or broken link) above it that exists."""
    return next(each for each in (path, *path.parents) if os.path.lexists(each))


def no_such(path: Path | str, kind: str) -> str:
    """What is said of a missing file or folder; one of the other kind may be in its place.

    Args:
        kind: "folder", or else what file is wanted: "file", "frame", "checkpoint".
    """
    path = Path(path)
    if not exists(path):
        if is_link(path):
            return BROKEN_LINK
        # Frames may be missing by the thousand.
        meant = alike(path) if kind != "frame" else None
        return f"no such {kind}" + (f" (did you mean {meant}?)" if meant else "")
    found = "folder" if path.is_dir() else "file" if kind == "folder" else "pipe or a device"
    return f"is a {found}, not a {kind}"


def said_missing(path: Path | str, kind: str) -> str:
    """The path with what `no_such` says of it, and, where nothing is there, where a relative path
    begins."""
    there = Path(path).is_absolute() or exists(Path(path))
    return f"{path}: {no_such(path, kind)}" + ("" if there else f" (relative to {Path.cwd()})")


def check_source(path: Path | str, what: str = "a file") -> Path:
    """The path of a file that is to be read.

    Args:
        what: what is needed, for the message on a folder.

    Raises:
        InputError: it is missing, a folder, or a pipe or device: those can be read only once, and
            may never end.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except NotADirectoryError:
        file = next(above for above in path.parents if above.exists())
        raise InputError(
            f"{path}: no such file: {file} is a file, not a folder; check the path"
        ) from None
    except PermissionError as error:
        raise InputError(with_fix(error, path)) from None
    except (OSError, ValueError) as error:
        lost = isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ELOOP)
        problem = no_such(path, "file") if lost else f"cannot be read ({error})"
        raise InputError(f"{path}: {problem}; check the path") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: is a folder; give {what}")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is a pipe or a device; save its content to a file first")
    return path


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, by its first bytes.

    Raises:
        InputError: it is missing, or no file.
    """
    with check_source(path).open("rb") as stream:
        return stream.read(2) == GZIP


@contextmanager
def open_source(
    path: Path | str, *, name: Path | str | None = None, what: str = "a file", again: str = AGAIN
) -> Iterator[BinaryIO]:
    """Opens a text file as bytes, unpacked where it is gzip.

    A byte order mark reads as three spaces, so that offsets in the stream are those in the file.

    Args:
        name: what the file is called in messages, if it is a copy.
        what: what is needed, for the message on a folder.
        again: ends the message on a damaged file.

    Raises:
        InputError: the file is missing, cannot be read, or is plainly no UTF-8; also within the
            block.
    """
    with _opened(path, name or path, what, again) as stream:
        marked = stream.read(len(MARK)) == MARK
        stream.seek(0)
        yield cast(BinaryIO, io.BufferedReader(_Unmarked(stream))) if marked else stream


@contextmanager
def open_text(
    path: Path | str, *, errors: str = "strict", newline: str | None = None
) -> Iterator[IO[str]]:
    """Opens a UTF-8 text file, unpacked where it is gzip and without its byte order mark.

    Args:
        errors, newline: as for `open`.

    Raises:
        InputError: the file is missing, cannot be read, or is not UTF-8; also within the block.
    """
    try:
        with (
            _opened(path, path, "a text file", AGAIN) as stream,
            io.TextIOWrapper(stream, "utf-8-sig", errors, newline) as text,
        ):
            yield text
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: cannot be read, not UTF-8 text ({error.reason}); save it as UTF-8"
        ) from None


@contextmanager
def _opened(path: Path | str, name: Path | str, what: str, again: str) -> Iterator[BinaryIO]:
    """The stream at its beginning; what the block cannot read is an `InputError`, too."""
    path = check_source(path, what)
    try:
        if path.suffix.lower() == ".gz" and not path.stat().st_size:
            raise InputError(f"{name}: is empty; {again}")
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
            file.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
            head = stream.read(HEAD)
            for pattern, found in _BINARY:
                if pattern.match(head):
                    error = NotText(f"{name}: is {found}; give {what}")
                    error.found = found
                    raise error
            for pattern, found in _NOT_TEXT:
                if pattern.match(head):
                    raise InputError(f"{name}: is {found}")
            stream.seek(0)
            yield stream
    except PermissionError as error:
        raise InputError(with_fix(error, name)) from None
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise InputError(f"{name}: cannot be read ({error}); {again}") from None


class _Unmarked(io.RawIOBase):
    """A stream whose byte order mark reads as spaces."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        at = self._stream.tell()
        block = without_mark(self._stream.read(len(buffer)), at)
        buffer[: len(block)] = block
        return len(block)


def without_mark(block: bytes, offset: int) -> bytes:
    """Bytes from `offset` of a file on, with spaces for its byte order mark."""
    mark = MARK[offset:]
    if not mark or not block.startswith(mark[: len(block)]):
        return block
    return b" " * min(len(mark), len(block)) + block[len(mark) :]


def unpacked(path: Path, folder: Path, again: str = AGAIN) -> Path:
    """The file itself, or, where it is gzip, what is in it as a new file in `folder`.

    Raises:
        InputError: the file is missing or damaged; `again` ends the message.
    """
    with open_source(path, again=again):  # says what is wrong with it
        pass
    if not is_packed(path):
        return path
    with tempfile.NamedTemporaryFile(dir=folder, suffix=f"_{path.stem}", delete=False) as plain:
        for block in _blocks(path, again):  # of a generator, so that a full disk keeps its own name
            plain.write(block)
    return Path(plain.name)


def _blocks(path: Path, again: str) -> Iterator[bytes]:
    with open_source(path, again=again) as stream:
        while block := stream.read(1 << 20):
            yield block


def read_text(path: Path | str, what: str = "a text file") -> str:
    """The whole text of a UTF-8 file, unpacked where it is gzip, without its byte order mark.

    Raises:
        InputError: the file is missing, cannot be read, or is not UTF-8.
    """
    with _opened(path, path, what, AGAIN) as stream:
        content = stream.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}: cannot be read: line {line} is not UTF-8 text ({error.reason}); save it as "
            f"UTF-8"
        ) from None
