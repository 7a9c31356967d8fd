"""The files and folders in an archive, read front to back."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, cast

import zstandard

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.sailvos.archives.volumes import CHUNK, Archive, joined

_DECOMPRESSORS: dict[str, Callable[[Any], Any]] = {
    "tar": lambda raw: raw,
    "gz": lambda raw: gzip.GzipFile(fileobj=raw),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "zst": lambda raw: zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(
        raw, read_across_frames=True
    ),
}
# A tar ends in zeros, usually less than 10 KB. Far more are the unwritten end of a download.
_LONGEST_END = 1 << 24
# tarfile reads long names in one go; one that claims more than this is damaged or hostile.
_LONGEST_HEADER = 1 << 26
_NAME_TYPES = (*tarfile.GNU_TYPES[:2], tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError)
# What the libraries let through where a header makes no sense.
_NONSENSE = (EOFError, ValueError, ArithmeticError, LookupError, struct.error, RecursionError)


@dataclass(frozen=True)
class Member:
    """A file, folder or anything else in an archive, told as a tar does. The name is unchecked."""

    archive: Archive
    info: tarfile.TarInfo
    opened: Callable[[], IO[bytes] | None]  # its data, until the next member is asked for

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.archive.path}: member {self.info.name!r}"

    def pieces(self) -> Iterator[bytes]:
        """The data, `info.size` bytes in all.

        Raises:
            InputError: it is damaged, cut off, or packed in a way that is not supported.
        """
        left = self.info.size
        with _damage_named(self.archive, f"in {self.info.name!r}"):
            with cast(IO[bytes], self.opened()) as data:
                while piece := data.read(CHUNK):
                    left -= len(piece)
                    yield piece
            if left:
                raise EOFError(f"{counted(left, 'byte')} missing")


def checking_size(archive: Archive) -> int:
    """How many bytes `check` reads."""
    hashed = sum(volume.size for volume in archive.volumes if volume.sha256)
    return hashed + archive.size * _needs_reading(archive)


def check(archive: Archive, watch: Callable[[int], None]) -> None:
    """Compares checksums, before anything is unpacked.

    That is SHA-256 where it is given, else the one inside a compressed tar, which comes after the
    data and so takes a pass of its own. (A plain tar has none; a zip has one for each member.)

    Args:
        watch: is told how many bytes were read; whatever it raises ends the check.

    Raises:
        InputError: a volume is damaged.
    """
    for volume in archive.volumes:
        if volume.sha256:
            stream = joined(replace(archive, volumes=(volume,)), watch)
            with _damage_named(archive, "while its checksum was computed"):
                found = hashlib.file_digest(cast(Any, stream), "sha256").hexdigest()
            if found != volume.sha256:
                raise InputError(
                    f"{archive.file(volume)}: damaged, its SHA-256 is {found} instead of "
                    f"{volume.sha256}; download it again"
                )
    if _needs_reading(archive):
        for _ in read_members(archive, watch):
            pass


def _needs_reading(archive: Archive) -> bool:
    return archive.form not in ("tar", "zip") and not all(v.sha256 for v in archive.volumes)


def read_members(archive: Archive, watch: Callable[[int], None]) -> Iterator[Member]:
    """What is in an archive, in its own order; memory does not grow with a tar.

    Args:
        watch: is told how many bytes were read; whatever it raises ends the reading.

    Raises:
        InputError: the archive is cut off or damaged.
    """
    return _zip_members(archive, watch) if archive.form == "zip" else _tar_members(archive, watch)


def _tar_members(archive: Archive, watch: Callable[[int], None]) -> Iterator[Member]:
    place = "at its start"
    with _damage_named(archive, place):
        stream = _DECOMPRESSORS[archive.form](joined(archive, watch))
        tar = _Tar.open(fileobj=stream, mode="r|", bufsize=1 << 16)
    while True:
        with _damage_named(archive, place):
            info = tar.next()
        tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
        if info is None:
            break
        place = f"after {info.name!r}"
        yield Member(archive, info, lambda info=info: tar.extractfile(info))  # type: ignore[misc]
    if not place.startswith("after"):
        raise InputError(f"{archive.path}: contains only zeros; download it again")


def _zip_members(archive: Archive, watch: Callable[[int], None]) -> Iterator[Member]:
    forms = {0: tarfile.REGTYPE, stat.S_IFREG: tarfile.REGTYPE, stat.S_IFLNK: tarfile.SYMTYPE}
    with _damage_named(archive, "at its end (its file list)"):
        file = zipfile.ZipFile(joined(archive))
    for entry in file.infolist():
        # The name that ZipInfo shows ends where the archive's own has a NUL.
        info = tarfile.TarInfo(entry.orig_filename)
        form = stat.S_IFMT(entry.external_attr >> 16)
        info.size, info.type = entry.file_size, forms.get(form, tarfile.CHRTYPE)
        if info.name.endswith("/") or form == stat.S_IFDIR:
            info.size, info.type = 0, tarfile.DIRTYPE
        info.mtime = time.mktime((*entry.date_time, 0, 0, -1))
        yield Member(archive, info, lambda entry=entry: file.open(entry))  # type: ignore[misc]
        watch(entry.compress_size)


@contextmanager
def _damage_named(archive: Archive, place: str) -> Iterator[None]:
    """Turns what the libraries raise for damage into an InputError that says where."""
    try:
        yield
    except (*_DAMAGE, *_NONSENSE, OSError) as error:
        # gzip and bz2 tell damage by an OSError without a number; with one, it is the disk's.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        again = "download it again"
        if archive.file(archive.volumes[-1]) != archive.path:
            again += f", and check that no volume after {archive.volumes[-1].name} is missing"
        raise InputError(
            f"{archive.path}: damaged or truncated {place} ({error or type(error).__name__}); "
            f"{again}"
        ) from None
    except RuntimeError as error:  # zipfile's, for passwords and methods that it does not know
        raise InputError(
            f"{archive.path}: {place}: {error}; unpack it yourself and repack it without this file"
        ) from None


class _StrictInfo(tarfile.TarInfo):
    """Headers that are damaged or missing are errors; tarfile takes them for the end."""

    @classmethod
    def fromtarfile(cls, tar: Any) -> _StrictInfo:
        try:
            info = super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            tar.zeros += tarfile.BLOCKSIZE
            if tar.zeros <= _LONGEST_END:
                raise
            fault = f"more than {_LONGEST_END} bytes of zeros, as after an unfinished download"
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            if tar.zeros:
                raise
            fault = "its end mark is missing"
        except tarfile.HeaderError as error:
            fault = str(error)
        else:
            tar.zeros = 0
            return info
        raise tarfile.ReadError(fault)

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> _StrictInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _NAME_TYPES and info.size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {counted(info.size, 'byte')}")
        return info


class _Tar(tarfile.TarFile):
    # Volumes that are tars of their own each have an end mark, which ignore_zeros passes over.
    tarinfo, ignore_zeros, encoding = _StrictInfo, True, "utf-8"
    zeros = 0  # bytes of zeros since the last member
