"""Frames as files: BMP, as the raw download has them, or PNG."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError

# Raw frames are BMP; trees in which they were converted are read just as well.
SUFFIXES = (".bmp", ".png")
PNG = b"\x89PNG\r\n\x1a\n"
AGAIN = "unpack or copy it again"


def is_clutter(name: str) -> bool:
    """Whether a file is one that macOS or Windows adds to folders and archives.

    They are AppleDouble files (`._000001.bmp` beside `000001.bmp`), all below `__MACOSX/`, and
    `.DS_Store` and `Thumbs.db`.

    Args:
        name: of a file or folder, with or without folders before it, parted by `/`.
    """
    *_, last = parts = name.rstrip("/").split("/")
    return (
        "__MACOSX" in parts
        or last.startswith("._")
        or last.casefold() in (".ds_store", "thumbs.db")
    )


def is_frame(name: str) -> bool:
    """Whether a file of this name counts as a frame: BMP or PNG, and no clutter."""
    return Path(name).suffix.lower() in SUFFIXES and not is_clutter(name)


def existing_image(path: Path) -> Path:
    """`path`, or the same name with the other suffix (.bmp, .png) where only that exists.

    Raises:
        InputError: neither exists, or the suffix is another one.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: frames are {' or '.join(SUFFIXES)} files; convert it, or correct its name"
        )
    if path.is_file():
        return path
    for suffix in SUFFIXES:
        if path.with_suffix(suffix).is_file():
            return path.with_suffix(suffix)
    raise InputError(f"{path}: no such frame; unpack or copy it again")


def check_image(path: Path) -> tuple[int, int]:
    """Checks that a BMP or PNG file is whole, from its header and size, without decoding it.

    OpenCV fills the missing part of a truncated picture with grey and says nothing.

    Returns:
        Width and height in pixels, as the header says.

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
        raise InputError(f"{path}: cannot be read ({error.strerror}); {AGAIN}") from None
    if size == 0:
        raise InputError(f"{path}: is empty; {AGAIN}")
    if head[:2] == b"BM":
        if len(head) < 54:
            raise InputError(f"{path}: cut off inside the BMP header ({size} bytes); {AGAIN}")
        whole, start = struct.unpack_from("<I4xI", head, 2)
        width, height, _, depth, packing = struct.unpack_from("<iihHI", head, 18)
        height = abs(height)  # a negative one says that the top row comes first
        # Uncompressed rows are padded to four bytes; only for packed pictures must the header's own
        # size be believed.
        needed = (
            whole if packing in (1, 2) else start + (abs(width) * depth + 31) // 32 * 4 * height
        )
        if size < needed:
            raise InputError(f"{path}: cut off, {size} of {needed} bytes are there; {AGAIN}")
    elif head[:8] == PNG:
        if not png_is_whole(head + tail):
            raise InputError(f"{path}: cut off, its PNG data has no end; {AGAIN}")
        width, height = struct.unpack_from(">ii", head, 16)
    else:
        raise InputError(f"{path}: is neither a BMP nor a PNG picture; {AGAIN}")
    if width <= 0 or height <= 0:
        raise InputError(f"{path}: its header says {width} x {height} pixels; {AGAIN}")
    return width, height


def png_is_whole(data: bytes) -> bool:
    """Whether bytes begin and end as a PNG file does."""
    return data[:8] == PNG and b"IEND" in data[-16:]


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a frame: uint8 [H, W, 3], BGR. Takes the same name with .png for .bmp, or the reverse,
    where only that exists.

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
