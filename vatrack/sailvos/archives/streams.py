"""The bytes of archives: parts joined, decompressed, read forward, and what is told when they make
no sense."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vatrack.common.errors import InputError

CHUNK = 1 << 18  # bytes; stays in the processor's cache
# tarfile reads a header's long names in one go; one that claims more than this is damaged or
# hostile.
_LONGEST_HEADER = 1 << 26
DECOMPRESSORS: dict[str, Callable[[Any], Any]] = {
    "gz": lambda file: _Gzip(file),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
# What tarfile and zipfile let through where a header makes no sense.
_NONSENSE = (
    ValueError,
    OverflowError,
    LookupError,
    struct.error,
    RecursionError,
    NotImplementedError,
)


class Damaged(Exception):
    """The bytes of an archive are not what they should be."""


@dataclass(frozen=True)
class Part:
    """One file of an archive as it lies on disk."""

    path: Path
    size: int  # bytes
    mtime_ns: int
    sha256: str | None  # as the user gave it


@dataclass(frozen=True)
class Archive:
    """One archive: a file, or its parts in order."""

    path: Path  # of the file; for parts, what their names have in common
    parts: tuple[Part, ...]
    kind: str  # "tar", "gz", "bz2", "xz" (tar, compressed) or "zip"

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@contextmanager
def damage_named(archive: Archive, place: str) -> Iterator[None]:
    """Turns what the readers raise for bytes that make no sense into an InputError that says
    where."""
    try:
        yield
    except (Damaged, *_DAMAGE, *_NONSENSE) as error:
        again = "download it again"
        if archive.parts[-1].path != archive.path:
            again += f", and see that no part after {archive.parts[-1].path.name} is missing"
        where = f" {place}" if place else ""
        raise InputError(
            f"{archive.path}: damaged or cut off{where} ({error or type(error).__name__}); {again}"
        ) from None


def decompressed(archive: Archive, joined: Joined) -> io.BufferedReader[Any]:
    """The tar in an archive; a Damaged is raised for whatever its decompression says."""
    raw: io.BufferedReader[Any] = io.BufferedReader(joined, CHUNK)
    if archive.kind not in DECOMPRESSORS:
        return raw
    return io.BufferedReader(_Decompressor(DECOMPRESSORS[archive.kind](raw)), CHUNK)


class Joined(io.RawIOBase):
    """The bytes of all parts of an archive, one after the other."""

    def __init__(self, archive: Archive, watch: Callable[[int], None]) -> None:
        self._parts, self._watch = archive.parts, watch
        self._position = 0
        self._open: tuple[int, IO[bytes]] | None = None  # number of the part and its file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        start = 0
        for number, part in enumerate(self._parts):
            if self._position < start + part.size:
                stream = self._file(number)
                try:
                    stream.seek(self._position - start)
                    count = stream.readinto(
                        memoryview(buffer)[: start + part.size - self._position]
                    )  # type: ignore[attr-defined]
                except OSError as error:
                    raise OSError(error.errno, error.strerror, str(part.path)) from None
                if not count:
                    raise Damaged(f"{part.path} became shorter while it was read")
                self._position += count
                self._watch(count)
                return int(count)
            start += part.size
        return 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: sum(part.size for part in self._parts),
        }[whence]
        if base + offset < 0:
            raise ValueError("before the beginning")
        self._position = base + offset
        return self._position

    def _file(self, number: int) -> IO[bytes]:
        if self._open is None or self._open[0] != number:
            if self._open:
                self._open[1].close()
            self._open = number, self._parts[number].path.open("rb", buffering=0)
        return self._open[1]

    def close(self) -> None:
        if self._open:
            self._open[1].close()
            self._open = None
        super().close()


class _Decompressor(io.RawIOBase):
    """gzip, bzip2 and xz tell damage by an OSError without a number, a failing disk by one with a
    number."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self._stream.readinto(buffer))
        except OSError as error:
            if error.errno is not None:
                raise
            raise Damaged(str(error)) from None


class _Gzip(io.RawIOBase):
    """gzip, one member after the other. The module of that name takes 8 KB at a time: threads would
    wait for each other."""

    def __init__(self, packed: Any) -> None:
        self._packed, self._input = packed, b""
        self._member: Any = (
            None  # zlib's object, which also compares the checksum; None between two members
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            self._input = self._input or self._packed.read(CHUNK)
            if self._member is None:
                if not self._input:
                    return 0
                self._input = self._input.lstrip(b"\0")  # padding
                if not self._input:
                    continue
                self._member = zlib.decompressobj(wbits=31)
            elif not self._input:
                raise EOFError("its end is missing")
            data = self._member.decompress(self._input, len(buffer))
            self._input = self._member.unconsumed_tail or self._member.unused_data
            if self._member.eof:
                self._member = None
        buffer[: len(data)] = data
        return len(data)


class Forward:
    """A stream as the file that tarfile wants; it goes forward only."""

    def __init__(self, stream: io.BufferedReader[Any]) -> None:
        self._stream, self._position = stream, 0
        self.zeros = 0  # bytes of zeros since the last member

    def tell(self) -> int:
        return self._position

    def seekable(self) -> bool:
        return False

    def seek(self, position: int) -> int:
        if position < self._position:
            raise Damaged("a header points backwards")
        while self._position < position and self.read(min(CHUNK, position - self._position)):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        if size > _LONGEST_HEADER:
            raise Damaged(f"a header of {size} bytes")
        data = self._stream.read(size)
        self._position += len(data)
        return data
