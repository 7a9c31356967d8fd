"""Which files make up an archive, and one stream over them."""

from __future__ import annotations

import io
import re
import stat
import tarfile
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

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
# Suffixes of compressed tars that are made of the letters that `split` counts with.
_COMPRESSIONS = {"gz", "xz", "zst", "lz", "lzma", "lzo", "br"}
_REPACK = "is not supported; unpack it yourself, or repack it as tar or zip"
_SPLIT_ZIP = (
    "is a volume of a split zip; join all volumes with `zip -s 0 first.zip --out whole.zip`"
)
_FORMS = ("tar", "gz", "bz2", "xz", "zst", "zip")
# What a file begins with: its form, or why it is refused.
_SIGNATURES = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PK\x07\x08": _SPLIT_ZIP,
    b"7z\xbc\xaf\x27\x1c": f"7z {_REPACK}",
    b"Rar!\x1a\x07": f"rar {_REPACK}",
    b"LZIP": f"lzip {_REPACK}",
    b"<": "is a web page, not an archive; log in on the download page, accept the "
    "licence and download it again",
}


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
        self._paths = [archive.file(volume) for volume in archive.volumes]
        self._ends = [0, *accumulate(volume.size for volume in archive.volumes)]
        self._watch, self._position = watch, 0
        self._open: tuple[int, io.FileIO] | None = None  # number of the volume and its file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        number = bisect_right(self._ends, self._position) - 1
        if number == len(self._paths):
            return 0
        path, left = self._paths[number], self._ends[number + 1] - self._position
        try:
            if self._open is None or self._open[0] != number:
                self._release()
                self._open = number, path.open("rb", buffering=0)
            self._open[1].seek(self._position - self._ends[number])
            count = self._open[1].readinto(memoryview(buffer)[:left])
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        if not count:
            raise EOFError(f"{path} was shortened while it was read")
        self._position += count
        self._watch(count)
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = (0, self._position, self._ends[-1])[whence] + offset
        if self._position < 0:
            raise ValueError("before the beginning")
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
    archives = [Archive(path, tuple(map(_look, files))) for path, files in _group(given)]
    return [replace(archive, form=_find_form(archive)) for archive in archives]


def _look(file: ArchiveConfig) -> Volume:
    path, fault = file.path, None
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            path.open("rb").close()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); download it, or correct its path"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        fault = "is not a file; give the path of an archive"
    elif file.size not in (None, found.st_size):
        fault = f"has {found.st_size} bytes instead of {file.size}; download it again"
    elif found.st_size == 0:
        fault = "is empty; download it again"
    if fault:
        raise InputError(f"{path}: {fault}")
    return Volume(
        name=path.name, size=found.st_size, mtime_ns=found.st_mtime_ns, sha256=file.sha256
    )


def _find_form(archive: Archive) -> str:
    path = archive.file(archive.volumes[0])
    with Joined(archive) as joined:
        head = io.BufferedReader(joined).read(tarfile.BLOCKSIZE)
    signatures = (form for magic, form in _SIGNATURES.items() if head.lstrip().startswith(magic))
    form = next(signatures, "tar")
    # Of a split zip, the last volume is called .zip, and only the first has a signature.
    if re.fullmatch(r"\.z\d+", path.suffix, re.IGNORECASE) or (
        path.suffix.lower() == ".zip" and path.with_suffix(".z01").exists()
    ):
        form = _SPLIT_ZIP
    if form == "tar":
        try:
            tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            # Zeros are where an empty tar ends, and what an unfinished download may begin with.
            if head.strip(b"\0") or len(head) < tarfile.BLOCKSIZE:
                other = "the first volume of one" if path != archive.path else "a zip archive"
                form = f"is neither a tar (plain, gz, bz2, xz, zst) nor {other}; download it again"
    if form not in _FORMS:
        raise InputError(f"{path}: {form}")
    return form


def _group(given: Sequence[ArchiveConfig]) -> list[tuple[Path, list[ArchiveConfig]]]:
    """The path of each archive (for volumes, what their names have in common) and its files."""
    if not given:
        raise InputError("no archive given; use --archive, or set dataset.archives in the config")
    paths = [file.path.resolve() for file in given]
    groups: dict[tuple[Path, str, bool], dict[str, ArchiveConfig]] = {}
    for file, path in zip(given, paths, strict=True):
        if paths.count(path) > 1:
            raise InputError(f"{file.path}: is given twice; list each archive once")
        key, number = (file.path, "", False), ""
        if found := _VOLUME.fullmatch(file.path.name):
            # x.tar.gz is a volume only where x.tar.gy is one: the 181st that `split` makes.
            before = path.with_name(found[1] + found[2] + _shifted(found[3], -1))
            if found[3].lower() not in _COMPRESSIONS or before in paths:
                number = found[3]
                key = (file.path.with_name(found[1]), found[2], number.isdigit())
        groups.setdefault(key, {})[number] = file
    return [(path, _in_order(path, mark, files)) for (path, mark, _), files in groups.items()]


def _in_order(path: Path, mark: str, files: dict[str, ArchiveConfig]) -> list[ArchiveConfig]:
    if not mark:
        return list(files.values())
    numbers = sorted(files, key=_value)
    first = numbers[0]
    missing = [_shifted(first, -1)] if _value(first) > first.isdigit() else []
    missing += [
        _shifted(number, 1)
        for number, following in pairwise(numbers)
        # `split` takes longer ones in the end: yz, zaaa and 89, 9000.
        if _value(following) != _value(number) + 1 and len(following) < len(number) + 2
    ]
    if missing:
        raise InputError(
            f"{files[first].path}: looks like a volume of {path.name}, but volume "
            f"{path.name}{mark}{missing[0]} is missing; download it and list it too, or rename the "
            "file if it is a whole archive"
        )
    return [files[number] for number in numbers]


def _value(number: str) -> int:
    """What a volume's number, in digits or letters, counts to."""
    if number.isdigit():
        return int(number)
    return reduce(lambda value, letter: 26 * value + ord(letter) - ord("a"), number.lower(), 0)


def _shifted(number: str, by: int) -> str:
    value, letters = _value(number) + by, ""
    if number.isdigit():
        return str(value).zfill(len(number))
    for _ in number:
        value, letter = divmod(value, 26)
        letters = chr(ord("a") + letter) + letters
    return letters.upper() if number.isupper() else letters


def archives_with_checksums(
    archives: Sequence[Path], checksums: Path | None
) -> list[ArchiveConfig]:
    """Archives with their checksums from a list as `sha256sum` writes it, by their bare names.

    Raises:
        InputError: the list cannot be read, a line is not `checksum  name`, or it lacks an archive.
    """
    sums: dict[str, str] = {}
    lines = (
        read_text(checksums, "a checksum list in the format of `sha256sum`") if checksums else ""
    )
    for number, line in enumerate(lines.splitlines(), start=1):
        fault = None
        if not (found := re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)|\s*", line)):
            fault = "is not `checksum  name`; create the list with `sha256sum`"
        elif found[1]:
            name, value = Path(found[2]).name, found[1].lower()
            if sums.setdefault(name, value) != value:
                fault = f"{name} has two checksums; keep the right one"
        if fault:
            raise InputError(f"{checksums}: line {number}: {fault}")
    for archive in archives if checksums else ():
        if archive.name not in sums:
            raise InputError(
                f"{checksums}: has no checksum of {archive.name}; add it, or remove --checksums"
            )
    return [ArchiveConfig(path=path, size=None, sha256=sums.get(path.name)) for path in archives]
