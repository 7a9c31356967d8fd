"""The files and folders in an archive, read front to back. What it says about itself is compared
with what is there."""

from __future__ import annotations

import io
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, Any, cast

from vatrack.common.errors import InputError
from vatrack.sailvos.archives.streams import (
    CHUNK,
    Archive,
    Damaged,
    Forward,
    Joined,
    damage_named,
    decompressed,
)

# A tar ends in zeros, by default in less than 10 KB of them. Far more are the unwritten end of a
# download.
_LONGEST_END = 1 << 24
_ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    b"M": "the rest of a file that began in another volume",
}
_REPACK = "Pack the archive again without it, or get it from a source that you trust"


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive. The name is the archive's own, unchecked."""

    name: str
    size: int | None  # bytes; None for a folder
    mtime: float | None  # seconds since 1970; None where the archive has no proper time
    pieces: Callable[
        [], Iterator[bytes]
    ]  # the data, `size` bytes in all, to be read before the next member is asked for


def unpacked_size(archive: Archive, block: int) -> int:
    """Bytes of disk that the members take: exactly for a zip, well for a tar, at least that many
    for a compressed tar.

    Args:
        archive: what is measured.
        block: bytes; files take whole blocks.
    """
    if archive.kind != "zip":
        return archive.size
    with Joined(archive, lambda _: None) as joined, _opened_zip(archive, joined) as file:
        return sum(-(-info.file_size // block) * block for info in file.infolist())


def read_members(archive: Archive, watch: Callable[[int], None]) -> Iterator[Member]:
    """The files and folders of an archive, in its own order.

    The memory needed does not grow with a tar; of a zip, the list of its members is held (0.7 KB
    each).

    Args:
        archive: what is read.
        watch: is told how many bytes were read; whatever it raises ends the reading.

    Raises:
        InputError: the archive is cut off, damaged, encrypted, or holds something else than files
            and folders.
    """
    with Joined(archive, watch if archive.kind != "zip" else lambda _: None) as joined:
        yield from (
            _zip_members(archive, joined, watch)
            if archive.kind == "zip"
            else _tar_members(archive, joined)
        )


def member_label(archive: Archive, name: str) -> str:
    """How messages name a member; control characters are shown by their codes."""
    return f"{archive.path}: member {name!r}" if name else f"{archive.path}"


def _tar_members(archive: Archive, joined: Joined) -> Iterator[Member]:
    stream, name, found = Forward(decompressed(archive, joined)), "", False
    with damage_named(archive, ""):
        # Parts that are tars of their own come one after the other, each with its end mark, which
        # ignore_zeros passes over.
        tar = tarfile.TarFile(
            fileobj=cast(IO[bytes], stream),
            tarinfo=_StrictInfo,
            ignore_zeros=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
    while True:
        with damage_named(archive, f"after {name!r}" if name else "at its beginning"):
            info = tar.next()
        tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
        if info is None:
            break
        name, found = info.name, True
        if not info.isreg() and not info.isdir():
            kind = _KINDS.get(info.type, f"of type {info.type!r}")
            raise InputError(
                f"{member_label(archive, name)}: is {kind}; only files and folders are unpacked. "
                f"{_REPACK}"
            )

        def opened(info: tarfile.TarInfo = info) -> AbstractContextManager[Any]:
            if info.issparse():
                return cast(IO[bytes], tar.extractfile(info))
            # Straight from the stream: tarfile's own reader copies everything twice more.
            stream.seek(info.offset_data)
            return nullcontext(stream)

        yield _member(
            archive, info.name, info.size if info.isreg() else None, float(info.mtime), opened
        )
    if not found:
        raise InputError(f"{archive.path}: holds no files, only zeros; download it again")


def _zip_members(
    archive: Archive, joined: Joined, watch: Callable[[int], None]
) -> Iterator[Member]:
    with _opened_zip(archive, joined) as file:
        for info in file.infolist():
            # The name that ZipInfo shows ends where the archive's own has a NUL.
            name, mode = info.orig_filename, info.external_attr >> 16
            what = member_label(archive, name)
            if info.flag_bits & 0x1:
                raise InputError(
                    f"{what}: is encrypted; unpack the archive with its password and pack it again "
                    f"without"
                )
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "a device or other special file"
                raise InputError(
                    f"{what}: is {kind}; only files and folders are unpacked. {_REPACK}"
                )
            if info.compress_type not in _ZIP_METHODS:
                raise InputError(
                    f"{what}: is compressed by method {info.compress_type}, which is not "
                    f"supported. {_REPACK}"
                )
            if info.file_size == 0 and info.CRC != 0:
                raise InputError(
                    f"{what}: damaged (an empty file with a checksum); download the archive again"
                )
            try:
                mtime = time.mktime((*info.date_time, 0, 0, -1))
            except (ValueError, OverflowError):
                mtime = None

            def opened(info: zipfile.ZipInfo = info) -> IO[bytes]:
                return file.open(info)

            is_folder = name.endswith("/") or stat.S_ISDIR(mode)
            yield _member(archive, name, None if is_folder else info.file_size, mtime, opened)
            watch(info.compress_size)


def _member(
    archive: Archive,
    name: str,
    size: int | None,
    mtime: float | None,
    opened: Callable[[], AbstractContextManager[Any]],
) -> Member:
    def pieces() -> Iterator[bytes]:
        left = size or 0
        with damage_named(archive, f"in {name!r}"), opened() as data:
            while left > 0:
                piece = data.read(min(CHUNK, left))
                if not piece:
                    raise Damaged(f"{left} bytes are missing")
                left -= len(piece)
                yield piece

    return Member(name, size, mtime, pieces)


@contextmanager
def _opened_zip(archive: Archive, joined: Joined) -> Iterator[zipfile.ZipFile]:
    if archive.path.with_suffix(".z01").exists():
        raise InputError(
            f"{archive.path}: is split (.z01); join it with `zip -s 0 {archive.path.name} --out "
            f"whole.zip`"
        )
    with damage_named(archive, "at its end, where the list of its members is"):
        file = zipfile.ZipFile(cast(IO[bytes], io.BufferedReader(joined, CHUNK)))
    with file:
        yield file


class _StrictInfo(tarfile.TarInfo):
    """tarfile takes a header that it cannot read, or none where one should be, for the end of the
    archive. That is damage."""

    @classmethod
    def fromtarfile(cls, tarfile_: Any) -> _StrictInfo:  # type: ignore[override]
        stream = cast(Forward, tarfile_.fileobj)
        try:
            info = super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            stream.zeros += tarfile.BLOCKSIZE
            if stream.zeros > _LONGEST_END:
                raise Damaged(
                    f"more than {_LONGEST_END} bytes of zeros, as an unfinished download has"
                ) from None
            raise
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            if stream.zeros:
                raise
            raise Damaged("its end mark is missing") from None
        except tarfile.HeaderError as error:
            raise Damaged(str(error)) from None
        stream.zeros = 0
        return info
