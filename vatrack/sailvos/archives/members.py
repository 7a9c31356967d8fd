"""The files and folders in an archive, read front to back."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from tarfile import InvalidHeaderError, TruncatedHeaderError  # type: ignore[attr-defined]
from typing import Any

import zstandard

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.sailvos.archives.volumes import CHUNK, Archive, Joined, following

_READERS: dict[str, Callable[[Any], Any]] = {
    "gz": lambda raw: gzip.GzipFile(fileobj=raw),
    "zst": lambda raw: zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(
        raw, read_across_frames=True
    ),
}
_DECOMPRESSORS: dict[str, Any] = {"bz2": bz2.BZ2Decompressor, "xz": lzma.LZMADecompressor}
# A tar ends in zeros, usually less than 10 KB. Far more are the unwritten end of a download.
_LONGEST_END = 1 << 24
# tarfile reads long names in one go; one that claims more bytes than this is damaged or hostile.
_LONGEST_HEADER = 1 << 26
_NAME_TYPES = (*tarfile.GNU_TYPES[:2], tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
# What tarfile says of one that has no end; other libraries raise an EOFError.
_CUT_OFF = ("empty file", "unexpected end of data", "truncated header", "the end mark is missing")
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError),
    # What the libraries let through where a header makes no sense; zipfile's of passwords.
    *(EOFError, ValueError, ArithmeticError, LookupError, struct.error, RuntimeError),
    OSError,
)


@dataclass(frozen=True)
class Member:
    """A file, folder or anything else in an archive, told as a tar does. The name is unchecked."""

    archive: Archive
    info: tarfile.TarInfo
    opened: Callable[[], Any]  # its data, until the next member is asked for

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.archive.path}: member {self.info.name!r}"

    def pieces(self) -> Iterator[bytes]:
        """Its data, `info.size` bytes in all.

        Raises:
            InputError: they are damaged, cut off, or packed in a way that is not supported.
        """
        left = self.info.size
        try:
            with self.opened() as data:
                while piece := data.read(CHUNK):
                    left -= len(piece)
                    yield piece
            if left:
                raise EOFError(f"{counted(left, 'byte')} missing")
        except _DAMAGE as error:
            raise _named(error, self.archive, f"in {self.info.name!r}") from None


def read_members(archive: Archive, advance: Callable[[int], None]) -> Iterator[Member]:
    """What is in an archive, in its own order; memory does not grow with a tar.

    Args:
        advance: called with the number of bytes after each block; what it raises ends the reading.

    Raises:
        InputError: the archive is cut off or damaged, or a tar has more than zeros behind its end.
    """
    read = _zip_members if archive.form == "zip" else _tar_members
    return _named_members(archive, read(archive, advance))


def check_headers(archive: Archive) -> None:
    """Follows a plain tar to its end from header to header, which takes moments.

    Raises:
        InputError: it is cut off, or a header is damaged.
    """
    with closing(Joined(archive.volumes)) as whole:
        for _ in _named_members(archive, _members_of(archive, whole, "r:")):
            pass


def _named_members(archive: Archive, members: Iterator[Member]) -> Iterator[Member]:
    """The members, with errors that name the archive and the place."""
    place = "before its first member"
    try:
        for member in members:
            yield member
            place = f"after {member.info.name!r}"
    except _DAMAGE as error:
        raise _named(error, archive, place) from None


def _tar_members(archive: Archive, advance: Callable[[int], None]) -> Iterator[Member]:
    blocks: Iterator[bytes] = chain.from_iterable(v.blocks(advance) for v in archive.volumes)
    if archive.form in _DECOMPRESSORS:
        blocks = filter(None, _decompressed(blocks, _DECOMPRESSORS[archive.form]))
    raw = _READERS.get(archive.form, lambda raw: raw)(_Stream(blocks))
    yield from _members_of(archive, raw, "r|")


def _members_of(archive: Archive, raw: Any, mode: str) -> Iterator[Member]:
    """Those of an unpacked tar."""
    # Volumes that are tars of their own each have an end mark, which ignore_zeros passes over.
    tar: Any = tarfile.open(  # type: ignore[call-overload]  # noqa: SIM115
        fileobj=raw,
        mode=mode,
        bufsize=1 << 16,
        tarinfo=_StrictInfo,
        ignore_zeros=True,
        encoding="utf-8",
    )
    end = 0  # of the last member
    while True:
        info = tar.next()
        zeros = (info or tar).offset - end
        if zeros > _LONGEST_END:
            raise tarfile.ReadError(
                f"more than {_LONGEST_END} bytes of zeros, as after an unfinished download"
            )
        if not info:
            break
        end = tar.offset
        tar.members.clear()  # tarfile would keep them all
        yield Member(archive, info, partial(tar.extractfile, info))
    if not zeros:
        raise tarfile.ReadError("the end mark is missing")


def _zip_members(archive: Archive, advance: Callable[[int], None]) -> Iterator[Member]:
    with zipfile.ZipFile(archive.path) as file:
        for zipped in file.infolist():
            # The name that ZipInfo shows ends where the archive's own has a NUL.
            info = tarfile.TarInfo(zipped.orig_filename)
            info.size, info.mtime = zipped.file_size, time.mktime((*zipped.date_time, 0, 0, -1))
            form = stat.S_IFMT(zipped.external_attr >> 16)
            if zipped.is_dir() or form == stat.S_IFDIR:
                info.type = tarfile.DIRTYPE
            elif form not in (0, stat.S_IFREG):
                info.type = tarfile.SYMTYPE  # or anything else that is refused
            yield Member(archive, info, partial(file.open, zipped))
            advance(zipped.compress_size)


def _named(error: Exception, archive: Archive, place: str) -> Exception:
    """What the libraries raise for damage, as an InputError that says where; a failing disk's
    error as it is."""
    # gzip and bz2 tell damage by an OSError without a number; a damaged zip has zipfile look before
    # the file's beginning. Any other number is the disk's.
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return error
    last = archive.volumes[-1].path
    if last != archive.path and (isinstance(error, EOFError) or str(error) in _CUT_OFF):
        after = following(last)
        lacks, fix = "is missing", f"download it (or {last.name} again) and list it, too"
        if after.exists():
            lacks, fix = "is not listed", "list it, too"
        return InputError(
            f"{after}: {lacks}: {archive.path} does not end with {last.name}, which breaks off "
            f"{place} ({error}); {fix}"
        )
    return InputError(
        f"{archive.path}: damaged, truncated or not supported {place} "
        f"({error or type(error).__name__}); download it again or repack it"
    )


def _decompressed(blocks: Iterator[bytes], start: Callable[[], Any]) -> Iterator[bytes]:
    """The data of all streams in some blocks. BZ2File and LZMAFile would take whatever follows the
    first stream for its end, also a damaged next volume."""
    stream = start()
    for block in blocks:
        while block := block.lstrip(b"\0") if stream.eof else block:
            stream = start() if stream.eof else stream
            yield stream.decompress(block, CHUNK)
            while not (stream.needs_input or stream.eof):
                yield stream.decompress(b"", CHUNK)
            block = stream.unused_data
    if not stream.eof:
        raise EOFError("the compressed data has no end")


class _Stream:
    """Blocks of bytes as one stream; an empty block would be its end."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, memoryview(b"")

    def read(self, size: int) -> bytes:
        self._rest = self._rest or memoryview(next(self._blocks, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)


class _StrictInfo(tarfile.TarInfo):
    """Damaged and huge headers are errors; tarfile skips the ones, and reads the others."""

    @classmethod
    def fromtarfile(cls, tar: Any) -> _StrictInfo:
        try:
            return super().fromtarfile(tar)
        except (InvalidHeaderError, TruncatedHeaderError) as error:
            raise tarfile.ReadError(str(error)) from None

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> _StrictInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _NAME_TYPES and info.size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {counted(info.size, 'byte')}")
        return info
