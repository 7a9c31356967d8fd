"""Which files make up an archive, and the bytes in them."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, product
from pathlib import Path
from string import ascii_lowercase
from typing import BinaryIO

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.text_files import check_source, read_text
from vatrack.config.dataset import ArchiveConfig

CHUNK = 1 << 20  # bytes read at a time
_VOLUME = re.compile(
    r"(.+\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2?|txz|tzst))([._-]?part[._-]?|\.)(\d+|[a-z]{2,4})",
    re.IGNORECASE,
)
# Suffixes of compressed tars that are made of the letters that `split` counts with.
_COMPRESSIONS = {"gz", "xz", "zst", "lz", "lzma", "lzo", "br"}
_ZIP_VOLUME = re.compile(r"\.(z|zip\.)\d+$", re.IGNORECASE)
_SIGNATURES = {  # what a file of each form begins with
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}


@dataclass(frozen=True)
class Volume:
    """One file of an archive, as it lay on disk when it was looked at."""

    path: Path
    size: int  # bytes
    mtime_ns: int
    sha256: str | None  # None: not compared

    def blocks(self, advance: Callable[[int], None]) -> Iterator[bytes]:
        """Its bytes.

        Args:
            advance: called with the number after each block; what it raises ends the reading.

        Raises:
            InputError: its size has changed.
        """
        with self.path.open("rb") as file:
            try:
                while block := file.read(CHUNK):
                    advance(len(block))
                    yield block
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from None
            if file.tell() != self.size:
                raise InputError(
                    f"{self.path}: changed its size while it was read; wait for the end of its "
                    "download and run again"
                )

    def compare_checksum(self, advance: Callable[[int], None]) -> None:
        """Compares its SHA-256, where one is given; raises as `blocks`, and for another one."""
        if not self.sha256:
            return
        digest = hashlib.sha256()
        for block in self.blocks(advance):
            digest.update(block)
        if digest.hexdigest() != self.sha256:
            raise InputError(
                f"{self.path}: damaged, its SHA-256 is {digest.hexdigest()} instead of "
                f"{self.sha256}; download it again"
            )


@dataclass(frozen=True)
class Archive:
    """One archive: a file, or its volumes in order."""

    path: Path  # of the file; for volumes, what their names have in common
    volumes: tuple[Volume, ...]
    form: str  # "tar", "gz", "bz2", "xz", "zst" (tar, compressed) or "zip"

    @property
    def size(self) -> int:
        return sum(volume.size for volume in self.volumes)

    @property
    def known_whole(self) -> bool:
        """Whether a checksum tells that nothing is missing; of volumes, the last one may be."""
        return self.volumes[0].path == self.path and bool(self.volumes[0].sha256)

    @property
    def shows_damage_late(self) -> bool:
        """Whether its only checksum comes after the data, as in a compressed tar."""
        return self.form not in ("tar", "zip") and not self.known_whole

    @property
    def bytes_to_read(self) -> int:
        """Once for what it holds, and once more before that for checksums."""
        hashed = sum(volume.size for volume in self.volumes if volume.sha256)
        return self.size + hashed + self.size * self.shows_damage_late


class Joined:
    """The volumes of an archive as one file, in which only some places are read."""

    def __init__(self, volumes: Sequence[Volume]) -> None:
        self._volumes, self._at = volumes, 0
        self._file: BinaryIO = volumes[0].path.open("rb")  # the one that was read last

    def close(self) -> None:
        """Closes the files."""
        self._file.close()

    def tell(self) -> int:
        """The place, in bytes from the beginning."""
        return self._at

    def seek(self, offset: int) -> int:
        """Goes to a place, which may be behind the end."""
        self._at = offset
        return offset

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        pieces, start = [], 0
        for volume in self._volumes:
            if size and start <= self._at < start + volume.size:
                if self._file.name != str(volume.path):
                    self._file.close()
                    self._file = volume.path.open("rb")
                self._file.seek(self._at - start)
                pieces.append(self._file.read(min(size, volume.size - self._at + start)))
                self._at, size = self._at + len(pieces[-1]), size - len(pieces[-1])
            start += volume.size
        return b"".join(pieces)


def following(volume: Path) -> Path:
    """The path of the volume that comes after this one."""
    found = _VOLUME.fullmatch(volume.name)
    assert found
    number = found[3]
    if number.isdigit():
        return volume.with_name(f"{found[1]}{found[2]}{int(number) + 1:0{len(number)}}")
    stem = number.rstrip("zZ")  # az is followed by ba
    letters = stem[:-1] + chr(ord(stem[-1]) + 1) if stem else ""
    a = "a" if number.islower() else "A"
    return volume.with_name(f"{found[1]}{found[2]}{letters.ljust(len(number), a)}")


def open_archives(given: Sequence[ArchiveConfig]) -> list[Archive]:
    """Groups files by the archive that they belong to, volumes in their order.

    Sizes are compared, and the form is told by the first bytes, not by the name.

    Raises:
        InputError: no file, one twice or of another size than told, a folder, a volume is missing,
            or it is no tar or zip.
    """
    if not given:
        raise InputError("no archive given; use --archive, or set dataset.archives in the config")
    seen = set[Path]()
    for file in given:
        real = check_source(file.path, "the archives themselves").resolve()
        if real in seen:
            raise InputError(f"{file.path}: is listed twice; list it once")
        seen.add(real)
    return [
        Archive(path, tuple(map(_look, files)), _find_form(files[0].path))
        for path, files in _group(given)
    ]


def _look(file: ArchiveConfig) -> Volume:
    path, found = file.path, file.path.stat()
    if file.size not in (None, found.st_size):
        raise InputError(
            f"{path}: has {counted(found.st_size, 'byte')} instead of {file.size}; download it "
            "again"
        )
    if not found.st_size:
        raise InputError(f"{path}: is empty; download it again")
    path.open("rb").close()  # whether it may be read shows before anything is unpacked
    return Volume(path, found.st_size, found.st_mtime_ns, file.sha256)


def _find_form(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(tarfile.BLOCKSIZE)
    # Only the first volume has a mark; the last one of x.z01 is called x.zip.
    last = path.suffix.lower() == ".zip" and path.with_suffix(".z01").exists()
    if last or head.startswith(b"PK\x07\x08") or _ZIP_VOLUME.search(path.name):
        raise InputError(
            f"{path}: is a volume of a zip; join all volumes with `zip -s 0 first.zip --out "
            "whole.zip` (first.zip.001 and the like with `cat first.zip.* > whole.zip`)"
        )
    for magic, form in _SIGNATURES.items():
        if head.startswith(magic):
            return form
    if head.lstrip().startswith(b"<"):
        raise InputError(
            f"{path}: is a web page, not an archive; download it again after you have logged in "
            "and accepted the licence"
        )
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise InputError(
            f"{path}: is neither a tar (plain, gz, bz2, xz, zst), the first volume of one, nor a "
            "zip; download it again, or repack it (7z, rar) as tar or zip"
        ) from None
    return "tar"


def _group(given: Sequence[ArchiveConfig]) -> list[tuple[Path, list[ArchiveConfig]]]:
    """The path of each archive (for volumes, what their names have in common) and its files."""
    paths = {file.path for file in given}
    groups: dict[tuple[Path, str], dict[str, ArchiveConfig]] = {}
    for file in given:
        path, name, mark, number = file.path, file.path.name, "", ""
        if found := _VOLUME.fullmatch(name):
            first = path.with_name(f"{found[1]}{found[2]}{'a' * len(found[3])}")
            # x.tar.gz is a volume only beside x.tar.aa.
            if found[3].lower() not in _COMPRESSIONS or first in paths:
                name, mark, number = found.groups()
        groups.setdefault((path.with_name(name), mark), {})[number] = file
    return [_in_order(path, mark, files) for (path, mark), files in groups.items()]


def _in_order(
    path: Path, mark: str, files: dict[str, ArchiveConfig]
) -> tuple[Path, list[ArchiveConfig]]:
    """Volumes by their numbers: 00, 01, … or 1, 2, … 10 or aa, ab, …, with the archive's path.

    Raises:
        InputError: the first or one between others is missing (data would not always show it: a
            volume may begin where a member does), or they are numbered in another way.
    """
    numbers = sorted(files, key=lambda number: (len(number), number.lower()))
    first = numbers[0]
    # Alone, x.tar.old or x.tar.2024 is no volume, its content tells what it is; x.tar.02 or .ab is.
    numbered = re.fullmatch(r"0*1?|\d{2,3}|a+[a-z]", first.lower())
    if not mark or (mark == "." and len(files) == 1 and not numbered):
        return files[first].path, [files[first]]
    expected: Iterator[str]
    if first.isdigit():
        expected = (f"{number:0{len(first)}}" for number in count(min(int(first), 1)))
    else:
        letters = (product(ascii_lowercase, repeat=width) for width in count(len(first)))
        expected = map("".join, chain.from_iterable(letters))
    for number, wanted in zip(numbers, expected, strict=False):
        if number.lower() != wanted:
            raise InputError(
                f"{path}{mark}{wanted}: is missing before volume {number}; download it and list "
                "it, too. If all volumes are there and only numbered otherwise (89, 9000; yz, "
                f"zaaa), join them with `cat {path.name}{mark}* > {path.name}`, or split with "
                "`split -d -a 4`"
            )
    return path, [files[number] for number in numbers]


def archives_with_checksums(
    archives: Sequence[Path], checksums: Path | None
) -> list[ArchiveConfig]:
    """Archives with their checksums from a list as `sha256sum` writes it, by their bare names.

    Raises:
        InputError: the list cannot be read, a line is not `checksum  name`, a name has two
            checksums, or it lacks an archive.
    """
    sums: dict[str, str] = {}
    if checksums:
        text = read_text(checksums, "a checksum list in the format of `sha256sum`")
        for number, line in enumerate(text.splitlines(), start=1):
            found = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:.*/)?([^/]+)|\s*", line)
            if not found:
                raise InputError(
                    f"{checksums}: line {number}: is not `checksum  name`; create the list with "
                    "`sha256sum`"
                )
            if found[1] and sums.setdefault(found[2], found[1].lower()) != found[1].lower():
                raise InputError(
                    f"{checksums}: line {number}: {found[2]} has two checksums; keep the right one"
                )
        if missing := [path.name for path in archives if path.name not in sums]:
            raise InputError(
                f"{checksums}: has no line `checksum  {missing[0]}`; create the list with "
                "`sha256sum`, or remove --checksums"
            )
    return [ArchiveConfig(path=path, size=None, sha256=sums.get(path.name)) for path in archives]
