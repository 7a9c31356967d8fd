"""Small archives for tests, in all forms that data sets come in."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zstandard

from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos.archives.members import read_members
from vatrack.sailvos.archives.volumes import Archive, open_archives
from vatrack.sailvos.unpack import unpack

FORMS = ["x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.tar.zst", "x.zip"]
NOTES = ".vatrack-unpack.json"
# An odd second: DOS times in a zip have even ones.
MTIME = 1_500_000_000


def pack(path: Path, files: Mapping[str, bytes], **options: int) -> Path:
    """Packs files; the form is told by the suffix (.tar, .tar.gz, .tar.bz2, .tar.xz, .zip)."""
    return (
        pack_zip(path, files, **options)
        if path.suffix == ".zip"
        else pack_tar(path, files, **options)
    )


def pack_tar(path: Path, files: Mapping[str, bytes], **options: int) -> Path:
    if path.suffix == ".zst":
        plain = pack_tar(path.with_suffix(""), files, **options)
        path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(plain.read_bytes()))
        plain.unlink()
        return path
    mode = "w" if path.suffix == ".tar" else f"w:{path.suffix[1:]}"
    with tarfile.open(path, mode, **options) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            tar.addfile(tar_entry(name, size=len(data)), io.BytesIO(data))
    return path


def tar_entry(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mtime = MTIME
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def pack_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in files.items():
            file.writestr(zip_entry(name, method), data)
    return path


def zip_entry(name: str, method: int = zipfile.ZIP_STORED, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x", (2017, 7, 14, 2, 40, 0))
    info.filename = info.orig_filename = name  # whatever it is: the constructor would clean it
    info.compress_type = method
    info.external_attr = mode << 16
    return info


def split(path: Path, names: list[str]) -> list[Path]:
    """Cuts a file into parts of these names, and removes it."""
    data = path.read_bytes()
    step = -(-len(data) // len(names))
    parts = [path.with_name(name) for name in names]
    for number, part in enumerate(parts):
        part.write_bytes(data[number * step : (number + 1) * step])
    path.unlink()
    return parts


def video(name: str, frames: int = 4, size: int = 3000) -> dict[str, bytes]:
    """The files of a raw video (their content is no image)."""
    return {
        f"{name}/images/{number:06d}.bmp": bytes([number % 256]) * size for number in range(frames)
    }


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder but the program's own notes."""
    found = (Path(above, name) for above, _, names in os.walk(folder) for name in names)
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in found if path.name != NOTES
    }


def checked(path: Path) -> ArchiveConfig:
    """A file with its size and checksum."""
    return ArchiveConfig(
        path=path, size=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )


def given_as(*paths: Path | str) -> list[ArchiveConfig]:
    return [ArchiveConfig(path=Path(path)) for path in paths]


def ignore(_: int) -> None:
    pass


def read(*paths: Path) -> dict[str, bytes]:
    """All files of one archive."""
    (archive,) = open_archives(given_as(*paths))
    return read_opened(archive)


def read_opened(archive: Archive) -> dict[str, bytes]:
    """All files of one archive, checked as `unpack` checks them."""
    for volume in archive.volumes:
        volume.compare_checksum(ignore)
    return {
        member.info.name: b"".join(member.pieces())
        for member in read_members(archive, ignore)
        if member.info.isreg()
    }


def do(out: Path, *archives: Path | ArchiveConfig, **options: Any) -> str:
    """Unpacks into `out`, and says what was done."""
    given = [
        path if isinstance(path, ArchiveConfig) else ArchiveConfig(path=path) for path in archives
    ]
    return str(unpack(given, out, **options))


def stats(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Of all frames: changes whenever one is written again, also with the same content."""
    paths = (Path(above, name) for above, _, names in os.walk(folder) for name in names)
    found = {str(path.relative_to(folder)): path.lstat() for path in paths if path.suffix == ".bmp"}
    return {name: (at.st_ino, at.st_mtime_ns, at.st_ctime_ns) for name, at in found.items()}
