"""Which files make up an archive, and one stream over them."""

from __future__ import annotations

import io
import re
import stat
import tarfile
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO, Any

from vatrack.common.errors import InputError
from vatrack.common.text_files import read_text
from vatrack.config.base import Frozen
from vatrack.config.dataset import ArchiveConfig

CHUNK = 1 << 18  # bytes read at a time
_VOLUME = re.compile(
    r"(.+\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2?|txz|tzst|zip))([._-]?part[._-]?|\.)"
    r"(\d+|[a-z]{2,4})",
    re.IGNORECASE,
)
_CHECKSUM = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_UNSUPPORTED = re.compile(r".+\.(7z|rar|r\d\d)(?:\.\d+)?", re.IGNORECASE)
_MAGIC = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_UNSUPPORTED_MAGIC = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar", b"LZIP": "lzip"}
# Suffixes of compressed tars that are made of the letters that `split` counts with.
_COMPRESSIONS = {"gz", "xz", "zst", "lz", "lzma", "lzo", "br"}


class Volume(Frozen):
    """One file of an archive, as it lies on disk and as the record of `unpack` has it."""

    name: str
    size: int  # bytes
    mtime_ns: int
    sha256: str | None = None  # None: not compared


@dataclass(frozen=True)
class Archive:
    """One archive: a file, or its volumes in order."""

    path: Path  # of the file; for volumes, what their names have in common
    volumes: tuple[Volume, ...]
    form: str = ""  # "tar", "gz", "bz2", "xz", "zst" (tar, compressed) or "zip"

    @property
    def size(self) -> int:
        return sum(volume.size for volume in self.volumes)

    def file(self, volume: Volume) -> Path:
        return self.path.with_name(volume.name)


class Joined(io.RawIOBase):
    """The bytes of all volumes, one after the other; `watch` is told how many were read."""

    def __init__(self, archive: Archive, watch: Callable[[int], None] = lambda _: None) -> None:
        self._archive, self._watch = archive, watch
        self._ends = list(accumulate(volume.size for volume in archive.volumes))
        self._position = 0
        self._open: tuple[int, IO[bytes]] | None = None  # number of the volume and its file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        number = bisect_right(self._ends, self._position)
        if number == len(self._ends):
            return 0
        volume = self._archive.volumes[number]
        left = self._ends[number] - self._position
        path = self._archive.file(volume)
        try:
            if self._open is None or self._open[0] != number:
                self._release()
                self._open = number, path.open("rb", buffering=0)
            self._open[1].seek(volume.size - left)
            count = self._open[1].readinto(memoryview(buffer)[:left])  # type: ignore[attr-defined]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        if not count:
            raise EOFError(f"{path} became shorter while it was read")
        self._position += count
        self._watch(count)
        return int(count)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_CUR: self._position, io.SEEK_END: self._archive.size}.get(whence, 0)
        if base + offset < 0:
            raise ValueError("before the beginning")
        self._position = base + offset
        return self._position

    def close(self) -> None:
        self._release()
        super().close()

    def _release(self) -> None:
        if self._open:
            self._open[1].close()
            self._open = None


def open_archives(given: Sequence[ArchiveConfig]) -> list[Archive]:
    """Groups files by the archive that they belong to, volumes in their order.

    Sizes are compared, and the form is told by the first bytes, not by the name.

    Raises:
        InputError: no file, a file twice or of another size than told, a volume is missing, or it
            is no tar or zip.
    """
    archives = [
        Archive(path, tuple(_look(file) for file in files)) for path, files in _group(given)
    ]
    return [replace(archive, form=_find_form(archive)) for archive in archives]


def _group(given: Sequence[ArchiveConfig]) -> list[tuple[Path, list[ArchiveConfig]]]:
    """The path of each archive (for volumes, what their names have in common) and its files."""
    if not given:
        raise InputError(
            "no archive is given; name one by --archive, or in the config's dataset.archives"
        )
    paths: dict[Path, Path] = {}
    for file in given:
        if paths.setdefault(file.path.resolve(), file.path) is not file.path:
            raise InputError(f"{file.path}: is given twice; name each archive once")
    groups: dict[tuple[Path, str], dict[str, ArchiveConfig]] = {}
    for file in given:
        if other := _UNSUPPORTED.fullmatch(file.path.name):
            raise _unsupported(file.path, "7z" if other[1].lower() == "7z" else "rar")
        found = _VOLUME.fullmatch(file.path.name)
        if found and (number := found[3]).lower() in _COMPRESSIONS:
            # x.tar.gz is a volume only where x.tar.gy is one: the 181st that `split` makes.
            before = found[1] + found[2] + number[:-1] + chr(ord(number[-1]) - 1)
            found = found if file.path.with_name(before) in paths.values() else None
        key = (file.path.with_name(found[1]), found[2]) if found else (file.path, "")
        groups.setdefault(key, {})[found[3] if found else ""] = file
    return [(path, _in_order(path, mark, files)) for (path, mark), files in groups.items()]


def _find_form(archive: Archive) -> str:
    path = archive.file(archive.volumes[0])
    with Joined(archive) as joined:
        head = io.BufferedReader(joined).read(tarfile.BLOCKSIZE)
    for magic, form in _UNSUPPORTED_MAGIC.items():
        if head.startswith(magic):
            raise _unsupported(path, form)
    for magic, form in _MAGIC.items():
        if head.startswith(magic):
            return form
    volume_suffix = path.suffix[:2].lower() == ".z" and path.suffix[2:].isdigit()
    if head.startswith(b"PK\x07\x08") or volume_suffix:
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
        # Zeros are where an empty tar ends, and what an unfinished download may begin with.
        if head.strip(b"\0") or len(head) < tarfile.BLOCKSIZE:
            other = "the first volume of one" if path != archive.path else "a zip archive"
            raise InputError(
                f"{path}: is neither a tar (plain, gzip, bzip2, xz, zstd) nor {other}; download it "
                f"again"
            ) from None
    return "tar"


def _unsupported(path: Path, form: str) -> InputError:
    return InputError(
        f"{path}: {form} is not supported; unpack it yourself or repack as tar or zip"
    )


def _look(file: ArchiveConfig) -> Volume:
    try:
        found = file.path.stat()
        file.path.open("rb").close()
    except IsADirectoryError:
        pass
    except OSError as error:
        raise InputError(
            f"{file.path}: cannot be read ({error.strerror}); download it there, or correct its "
            f"path"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{file.path}: is not a file; the path of an archive is needed")
    if file.size not in (None, found.st_size):
        raise InputError(
            f"{file.path}: has {found.st_size} bytes instead of {file.size}; download it again"
        )
    if found.st_size == 0:
        raise InputError(f"{file.path}: is empty; download it again")
    return Volume(
        name=file.path.name, size=found.st_size, mtime_ns=found.st_mtime_ns, sha256=file.sha256
    )


def _in_order(path: Path, mark: str, files: dict[str, ArchiveConfig]) -> list[ArchiveConfig]:
    if not mark:
        return list(files.values())
    numbers = sorted(
        files, key=lambda number: (int(number), "") if number.isdigit() else (len(number), number)
    )
    first, missing = numbers[0], None
    if first.isdigit() and int(first) > 1:
        missing = str(int(first) - 1).zfill(len(first))
    elif not first.isdigit() and first.strip("aA"):
        missing = "a" * len(first)
    for number, following in pairwise(numbers):
        # `split` takes longer ones in the end: yz, zaaa and 89, 9000.
        fits = following == _next(number) or len(following) > max(2, len(number) + 1)
        missing = missing or (None if fits else _next(number))
    if missing is not None:
        raise InputError(
            f"{files[first].path}: is taken for a volume of {path.name}, but volume "
            f"{path.name}{mark}{missing} is missing; download it, name it with the others, or give "
            f"the file the name of a whole archive"
        )
    return [files[number] for number in numbers]


def _next(number: str) -> str:
    if number.isdigit():
        return str(int(number) + 1).zfill(len(number))
    kept = number.rstrip("zZ")
    more = kept[:-1] + chr(ord(kept[-1]) + 1) if kept else ""
    return more + ("A" if number.isupper() else "a") * (len(number) - len(more))


def archives_with_checksums(
    archives: Sequence[Path], checksums: Path | None
) -> list[ArchiveConfig]:
    """Archives with their checksums from a list as `sha256sum` writes it, by their bare names.

    Raises:
        InputError: the list cannot be read, a line is not `checksum  name`, or it lacks an archive.
    """
    sums: dict[str, str] = {}
    needed = "a list as `sha256sum` writes it"
    lines = read_text(checksums, needed).splitlines() if checksums else []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if not (found := _CHECKSUM.fullmatch(line)):
            raise InputError(
                f"{checksums}: line {number} is not `checksum  name`; make the list with "
                f"`sha256sum`"
            )
        name, value = Path(found[2]).name, found[1].lower()
        if sums.setdefault(name, value) != value:
            raise InputError(
                f"{checksums}: line {number}: {name} has another checksum further up; keep the "
                f"right one"
            )
    for archive in archives:
        if checksums and archive.name not in sums:
            raise InputError(
                f"{checksums}: has no checksum of {archive.name}; add it, or leave the list out"
            )
    return [ArchiveConfig(path=path, size=None, sha256=sums.get(path.name)) for path in archives]
