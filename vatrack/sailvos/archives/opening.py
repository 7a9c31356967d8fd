"""What an archive is, and whether it is whole."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos.archives.parts import group_parts
from vatrack.sailvos.archives.streams import (
    CHUNK,
    DECOMPRESSORS,
    Archive,
    Joined,
    Part,
    damage_named,
    decompressed,
)

_MAGIC = (
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)


def open_archives(given: Sequence[ArchiveConfig]) -> list[Archive]:
    """Puts parts together, checks sizes and looks what each archive is, by its first bytes, not its
    name.

    Raises:
        InputError: a file is missing, empty or of another size than told, a part is missing, or it
            is no such archive.
    """
    return [_open_archive(path, files) for path, files in group_parts(given)]


def _open_archive(path: Path, files: Sequence[ArchiveConfig]) -> Archive:
    parts = []
    for file in files:
        with _readable(file.path):
            found = file.path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{file.path}: is not a file; the path of an archive is needed")
        if file.size is not None and found.st_size != file.size:
            raise InputError(
                f"{file.path}: has {found.st_size} bytes instead of {file.size}; download it again"
            )
        if found.st_size == 0:
            raise InputError(f"{file.path}: is empty; download it again")
        parts.append(Part(file.path, found.st_size, found.st_mtime_ns, file.sha256))
    with (
        _readable(files[0].path),
        Joined(Archive(path, tuple(parts), ""), lambda _: None) as stream,
    ):
        head = io.BufferedReader(stream).read(tarfile.BLOCKSIZE)
    return Archive(path, tuple(parts), _kind(files[0].path, head, is_part=files[0].path != path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); download it there, or correct its path"
        ) from None


def _kind(path: Path, head: bytes, *, is_part: bool) -> str:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"PK\x07\x08") or (
        path.suffix[:2].lower() == ".z" and path.suffix[2:].isdigit()
    ):
        raise InputError(
            f"{path}: is one volume of a split zip; join the volumes with `zip -s 0 first.zip "
            f"--out whole.zip`"
        )
    if head.lstrip()[:1] == b"<":
        raise InputError(
            f"{path}: is a web page, not an archive; log in, accept the licence there and download "
            f"it again"
        )
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        # A block of zeros is where an empty tar ends, and what an unfinished download may begin
        # with.
        if head.strip(b"\0") or len(head) < tarfile.BLOCKSIZE:
            known = (
                f"a tar (plain, gzip, bzip2, xz) nor "
                f"{'the first part of one' if is_part else 'a zip archive'}"
            )
            raise InputError(f"{path}: is neither {known}; download it again") from None
    return "tar"


def checking_size(archive: Archive) -> int:
    """How many bytes `check_contents` reads."""
    hashed = sum(part.size for part in archive.parts if part.sha256)
    return hashed + (archive.size if _to_be_tested(archive) else 0)


def _to_be_tested(archive: Archive) -> bool:
    return archive.kind in DECOMPRESSORS and not all(part.sha256 for part in archive.parts)


def check_contents(archive: Archive, watch: Callable[[int], None]) -> None:
    """Compares checksums, before anything is unpacked: SHA-256 where it is given, else the one
    inside of a compressed tar.

    The latter comes after the data, so it takes a pass of its own. (A plain tar has none; a zip has
    one for each member.)

    Args:
        archive: what is checked.
        watch: is told how many bytes were read; whatever it raises ends the check.

    Raises:
        InputError: a part is damaged.
    """
    for part in archive.parts:
        if part.sha256:
            digest = hashlib.sha256()
            with part.path.open("rb", buffering=0) as stream:
                while piece := stream.read(CHUNK):
                    digest.update(piece)
                    watch(len(piece))
            if digest.hexdigest() != part.sha256:
                found = digest.hexdigest()
                raise InputError(
                    f"{part.path}: damaged, its SHA-256 is {found} instead of {part.sha256}; "
                    f"download it again"
                )
    if _to_be_tested(archive):
        with damage_named(archive, ""), Joined(archive, watch) as joined:
            unpacked = decompressed(archive, joined)
            while unpacked.read(CHUNK):
                pass
