"""The raw SAIL-VOS download on disk: its layout and its pictures (spec 1.1)."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vatrack.errors import InputError

# In every video the first and last frames have no annotation: annotation frame k is file k + FRAMES_BEFORE.
FRAMES_BEFORE = 3
FRAMES_AFTER = 6
# Parts the name of a clip from its source video; no video has it in its name (spec 1.4).
CLIP_MARK = "__"
# Raw frames are BMP; trees in which they were converted are read just as well.
SUFFIXES = (".bmp", ".png")


def list_videos(raw: Path) -> list[str]:
    """The names of the video folders (those with `images/`), sorted.

    Raises:
        InputError: `raw` is not a folder or holds no video.
    """
    raw = Path(raw)
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; the raw download is needed there (one folder per video)")
    videos = sorted(entry.name for entry in raw.iterdir() if (entry / "images").is_dir())
    if not videos:
        raise InputError(f"{raw}: no video folder (one with images/ in it); unpack the raw download there")
    return videos


def safe_name(name: object, what: str) -> str:
    """`name` itself when it is safe as the name of one file or folder.

    Raises:
        InputError: it is not text, empty, absolute, `.` or `..`, or has a path separator or control character in it.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or not name.isprintable() or set(name) & set("/\\:"):
        raise InputError(f"{what}: {name!r} cannot be the name of a file or folder; correct it")
    return name


def existing_image(path: Path) -> Path:
    """`path`, or the same name with the other suffix (.bmp, .png) where only that exists.

    Raises:
        InputError: neither exists, or the suffix is another one.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: frames are {' or '.join(SUFFIXES)} files; convert it, or correct its name")
    if path.is_file():
        return path
    for suffix in SUFFIXES:
        if path.with_suffix(suffix).is_file():
            return path.with_suffix(suffix)
    raise InputError(f"{path}: no such frame; unpack or copy it again")


def check_image(path: Path) -> None:
    """Checks that a BMP or PNG file is whole, from its header and size, without decoding it.

    OpenCV fills the missing part of a truncated picture with grey and says nothing.

    Raises:
        InputError: the file is missing, empty, cut off, or neither BMP nor PNG.
    """
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(54)
            size = stream.seek(0, 2)
            stream.seek(max(0, size - 16))
            tail = stream.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); unpack or copy it again") from None
    again = "unpack or copy it again"
    if size == 0:
        raise InputError(f"{path}: is empty; {again}")
    if head[:2] == b"BM":
        if len(head) < 54:
            raise InputError(f"{path}: cut off inside the BMP header ({size} bytes); {again}")
        whole, start = struct.unpack_from("<I4xI", head, 2)
        width, height, _, depth, packing = struct.unpack_from("<iihHI", head, 18)
        # Uncompressed rows are padded to four bytes; only for packed pictures must the header's own size be believed.
        needed = whole if packing in (1, 2) else start + (abs(width) * depth + 31) // 32 * 4 * abs(height)
        if size < needed:
            raise InputError(f"{path}: cut off, {size} of {needed} bytes are there; {again}")
    elif head[:8] == b"\x89PNG\r\n\x1a\n":
        if b"IEND" not in tail:
            raise InputError(f"{path}: cut off, its PNG data has no end; {again}")
    else:
        raise InputError(f"{path}: is neither a BMP nor a PNG picture; {again}")


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a frame: uint8 [H, W, 3], BGR. Takes the same name with .png for .bmp, or the reverse, where only that exists.

    Raises:
        InputError: the frame is missing, empty, cut off, or not a BMP or PNG picture.
    """
    path = existing_image(path)
    check_image(path)
    picture = decode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{path}: cannot be decoded; unpack or copy it again")
    return picture


def decode(data: npt.NDArray[np.uint8], flags: int) -> npt.NDArray[np.uint8] | None:
    """The picture in a file's bytes as OpenCV reads it with `flags`, or None where it cannot."""
    try:
        picture = cv2.imdecode(data, flags)
    except cv2.error:  # a header that claims an enormous picture, for example
        return None
    return None if picture is None else np.asarray(picture, np.uint8)
