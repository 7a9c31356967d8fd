"""Small archives for tests, in all forms that data sets come in."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import zstandard

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
    """All files below a folder but the program's own record."""
    found = (Path(above, name) for above, _, names in os.walk(folder) for name in names)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.name != ".vatrack-unpack.json"
    }
