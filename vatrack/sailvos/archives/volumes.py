"""Which files make up an archive, and one stream over them."""

from __future__ import annotations

import io
import re
import stat
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, cast

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.text_files import read_text
from vatrack.config.base import Frozen
from vatrack.config.dataset import ArchiveConfig

CHUNK = 1 << 22  # bytes read at a time: opening a file over a network takes about a millisecond
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
    b"<": "is a web page, not an archive; log in on the download page, accept the licence and "
    "download it again",
}
_FORMS = ("tar", "gz", "bz2", "xz", "zst", "zip")


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


class _Joined(io.RawIOBase):
    """The bytes of all volumes, one after the other; `watch` is told how many were read.

    A volume is open only while it is read: there may be a thousand of them. Each has the bytes that
    it had when it was measured, also where it has grown since.

    Raises:
        EOFError: a volume has become shorter.
    """

    def __init__(self, archive: Archive, watch: Callable[[int], None]) -> None:
        ends = accumulate(volume.size for volume in archive.volumes)
        self._parts = [
            (archive.file(volume), end - volume.size, end)
            for volume, end in zip(archive.volumes, ends, strict=True)
        ]
        self._size, self._watch, self._position = archive.size, watch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        for path, begin, end in self._parts:
            if self._position < end:
                try:
                    with path.open("rb", buffering=0) as file:
                        file.seek(self._position - begin)
                        count = file.readinto(memoryview(buffer)[: end - self._position])
                except OSError as error:
                    raise OSError(error.errno, error.strerror, str(path)) from None
                if not count and len(buffer):
                    raise EOFError(f"{path.name} was shortened while it was read")
                self._position += count
                self._watch(count)
                return count
        return 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = max(0, (0, self._position, self._size)[whence] + offset)
        return self._position


def joined(archive: Archive, watch: Callable[[int], None] = lambda _: None) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Joined(archive, watch), CHUNK))


def open_archives(given: Sequence[ArchiveConfig]) -> list[Archive]:
    """Groups files by the archive that they belong to, volumes in their order.

    Sizes are compared, and the form is told by the first bytes, not by the name.

    Raises:
        InputError: no file, a file twice, an empty one or one of another size than told, a folder,
            a volume is missing, or it is no tar or zip.
    """
    archives = [Archive(path, tuple(map(_look, files))) for path, files in _group(given)]
    return [replace(archive, form=_find_form(archive)) for archive in archives]


def _look(file: ArchiveConfig) -> Volume:
    path = file.path
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):  # to open a pipe would wait for a writer
            path.open("rb").close()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); download it, or correct its path"
        ) from None
    fault = None
    if stat.S_ISDIR(found.st_mode):
        fault = "is a folder; give the archives themselves"
    elif not stat.S_ISREG(found.st_mode):
        fault = "is not a regular file; save the archive as a file and give that"
    elif not found.st_size:
        fault = "is empty; download it again"
    elif file.size not in (None, found.st_size):
        size = counted(found.st_size, "byte")
        fault = f"has {size} instead of {file.size}; download it again"
    if fault:
        raise InputError(f"{path}: {fault}")
    return Volume(
        name=path.name, size=found.st_size, mtime_ns=found.st_mtime_ns, sha256=file.sha256
    )


def _find_form(archive: Archive) -> str:
    path = archive.file(archive.volumes[0])
    try:
        head = joined(archive).read(tarfile.BLOCKSIZE)
    except EOFError as error:
        raise InputError(f"{path}: damaged or truncated ({error}); download it again") from None
    signatures = (form for magic, form in _SIGNATURES.items() if head.lstrip().startswith(magic))
    form = next(signatures, "tar")
    # Of a split zip, the last volume is called .zip, and only the first has a signature.
    if re.fullmatch(r"\.z\d+", path.suffix, re.IGNORECASE) or (
        path.suffix.lower() == ".zip" and path.with_suffix(".z01").exists()
    ):
        form = _SPLIT_ZIP
    if form == "tar" and head.strip(b"\0"):  # zeros: an empty tar, or an unfinished download
        try:
            tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
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
        key, number, found = (file.path, "", False), "", _VOLUME.fullmatch(file.path.name)
        # x.tar.gz is a volume only where x.tar.gy is one: the 181st that `split` makes.
        if found and (
            found[3].lower() not in _COMPRESSIONS
            or path.with_name(path.name[:-1] + chr(ord(path.name[-1]) - 1)) in paths
        ):
            number = found[3]
            key = file.path.with_name(found[1]), found[2], number.isdigit()
        groups.setdefault(key, {})[number] = file
    return [
        (path, _in_order(path, mark, files) if mark else list(files.values()))
        for (path, mark, _), files in groups.items()
    ]


def _in_order(path: Path, mark: str, files: dict[str, ArchiveConfig]) -> list[ArchiveConfig]:
    numbers = sorted(files, key=lambda number: int(number, 36))
    first = numbers[0]
    zero, wanted = "a", "a" * len(first)
    if first.isdigit():
        zero, wanted = "0", f"{min(int(first), 1):0{len(first)}}"
    for number in numbers:
        # `split` takes longer ones in the end: yz, zaaa and 89, 9000.
        if number.lower() not in (wanted, wanted + 2 * zero):
            raise InputError(
                f"{files[first].path}: looks like a volume of {path.name}, but volume "
                f"{path.name}{mark}{wanted} is missing; download it and list it too, or rename the "
                "file if it is a whole archive"
            )
        wanted = _following(number.lower())
    return [files[number] for number in numbers]


def _following(number: str) -> str:
    """The number of the next volume, in digits or letters."""
    if number.isdigit():
        return f"{int(number) + 1:0{len(number)}}"
    head = number.rstrip("z") or "y"  # nothing comes after zz
    return (head[:-1] + chr(ord(head[-1]) + 1)).ljust(len(number), "a")


def archives_with_checksums(
    archives: Sequence[Path], checksums: Path | None
) -> list[ArchiveConfig]:
    """Archives with their checksums from a list as `sha256sum` writes it, by their bare names.

    Raises:
        InputError: the list cannot be read, a line is not `checksum  name`, or it lacks an archive.
    """
    if checksums is None:
        return [ArchiveConfig(path=path, size=None, sha256=None) for path in archives]
    text = read_text(checksums, "a checksum list in the format of `sha256sum`")
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        found = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.*/)?([^/]+)|\s*", line)
        if not found:
            fault = "is not `checksum  name`; create the list with `sha256sum`"
        elif found[1] and sums.setdefault(found[3], found[1].lower()) != found[1].lower():
            fault = f"{found[3]} has two checksums; keep the right one"
        else:
            continue
        raise InputError(f"{checksums}: line {number}: {fault}")
    if missing := [path.name for path in archives if path.name not in sums]:
        raise InputError(
            f"{checksums}: has no checksum of {missing[0]}; add it, or remove --checksums"
        )
    return [ArchiveConfig(path=path, size=None, sha256=sums[path.name]) for path in archives]
