"""Frames as files: BMP, as the raw download has them, PNG or JPEG.

There is one reader, so that every command sees the same pixels: 8 bits a colour, as they are
stored. An eXIf orientation is not followed, alpha is left out, of 16 bits the upper 8 are used.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vatrack.common.c_messages import c_messages_hidden
from vatrack.common.clutter import is_clutter
from vatrack.common.errors import InputError
from vatrack.common.files import naming_full_disk
from vatrack.common.image_headers import (
    PNG,
    RECOPY,
    bad_image,
    open_regular,
    read_header,
    unreadable,
)
from vatrack.common.text_files import no_such

ImageArray = npt.NDArray[np.uint8]  # [H, W, 3] BGR
# Raw frames are BMP; trees in which they were converted are read just as well.
SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg")
# As messages list them.
ENDINGS = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"

if logging := getattr(cv2.utils, "logging", None):
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # our own messages name the file, OpenCV's do not


def is_frame(name: str) -> bool:
    """Whether a file of this name counts as a frame: BMP, PNG or JPEG, and no clutter."""
    return Path(name).suffix.lower() in SUFFIXES and not is_clutter(name)


def existing_image(path: Path) -> Path:
    """`path`, or the same name with another suffix of `SUFFIXES` where only that exists.

    Raises:
        BadImage: neither exists ("missing"), it is no file, its folder may not be read, or the
            suffix is another one.
    """
    path = Path(path)
    named = path.suffix.lower() in SUFFIXES
    try:
        for found in (path, *map(path.with_suffix, SUFFIXES)) if named else ():
            if found.is_file():
                return found
        there = path.exists()
    except OSError as error:  # a folder without permission, a name that is too long
        raise unreadable(path, error) from None
    if not there:
        fix = RECOPY if named else f"frames must be {ENDINGS} files: correct its name"
        raise bad_image(path, "missing", f"{no_such(path, 'frame')}; {fix}")
    read_header(path)  # raises, if it is no image at all
    raise bad_image(path, "format", f"frames must be {ENDINGS} files; correct its name")


def image_exists(path: Path) -> bool:
    """Whether `existing_image` finds a file."""
    try:
        existing_image(path)
    except InputError:
        return False
    return True


def check_image(path: Path) -> tuple[int, int]:
    """Checks that an image file is whole, from its header and end, without decoding it.

    Returns:
        Width and height in pixels, as the header says.

    Raises:
        InputError: see `read_header`.
    """
    header = read_header(path)
    return header.width, header.height


def read_image(path: Path, size: tuple[int, int] | None = None) -> ImageArray:
    """Reads a frame: uint8 [H, W, 3], BGR, pixels as they are stored.

    Takes the same name with another suffix (see `existing_image`) where only that exists.

    Args:
        size: width and height that its annotation says, in pixels. A frame of another size is not
            decoded: a damaged or hostile header may claim an enormous one.

    Raises:
        InputError: the frame is missing, empty, cut off, no BMP, PNG or JPEG image, or of another
            size.
    """
    path = existing_image(path)
    found = check_image(path)
    if size is not None and found != size:
        raise InputError(
            f"{path}: is {found[0]} x {found[1]} pixels, but its annotation says {size[0]} x "
            f"{size[1]}; use frames and annotations of the same release"
        )
    return decode_image(path, found)


def decode_image(path: Path, size: tuple[int, int]) -> ImageArray:
    """The frame in a whole file whose header says this width and height: see `read_image`.

    Raises:
        InputError: it cannot be read or decoded.
    """
    image = decode(read_bytes(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None or image.shape[1::-1] != size:
        raise bad_image(path, "undecodable", f"cannot be decoded; {RECOPY}")
    return np.asarray(image, np.uint8)


def read_bytes(path: Path) -> bytes:
    """The content of a file, which may not be a pipe or a device.

    Raises:
        FileNotFoundError: there is none.
        InputError: it cannot be read.
    """
    try:
        with open_regular(path) as stream:
            return stream.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from None


def write_image(path: Path, image: npt.NDArray[np.uint8], *settings: int) -> None:
    """Writes an image in the form that the suffix says, with errors of the operating system;
    `cv2.imwrite` has none.

    Args:
        settings: of OpenCV, each a number and its value.
    """
    encoded, data = cv2.imencode(path.suffix.lower(), image, settings)
    if not encoded:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise RuntimeError(f"{path}: OpenCV could not encode an image of {size} pixels")
    with naming_full_disk(path):
        path.write_bytes(data.tobytes())


def decode(data: bytes, flags: int) -> npt.NDArray[np.generic] | None:
    """The image in a file's bytes as OpenCV reads it with `flags`, or None where it cannot."""
    # Not of JPEG, where OpenCV fills what is missing, and libjpeg's message is all there is.
    names_no_file = c_messages_hidden() if data.startswith(PNG) else nullcontext()
    try:
        with names_no_file:
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # no memory for it, for example
        return None
