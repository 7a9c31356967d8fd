"""PNG files as what is stored in them: samples, palette, transparency; nothing is converted."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.common.image_headers import (
    HEADER_BYTES,
    PNG,
    RECOPY,
    name_format,
    open_image,
    raw_mode,
)
from vatrack.common.images import decode, read_bytes

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# By how much neighbouring grey samples of 1, 2 and 4 bits differ where they are spread over 8.
_STEPS = {"1": 255, "L;2": 85, "L;4": 17, "P;1": 255, "P;2": 85, "P;4": 17}


@dataclass(frozen=True)
class Stored:
    """What a PNG file holds.

    Attributes:
        samples: uint8 or uint16, [H, W] of a grey or palette file (there the indices), [H, W, 3]
            of a file with colours, [H, W, 4] of one with an alpha channel, which is the last.
        palette: uint8 [N, 4], red, green, blue and alpha of each index; or None.
        transparent: the one sample or colour that is transparent; or None.
    """

    samples: npt.NDArray[Any]
    palette: npt.NDArray[np.uint8] | None = None
    transparent: int | tuple[int, ...] | None = None


def read_png(path: Path, size: tuple[int, int] | None = None) -> Stored:
    """Reads a PNG file of any form.

    Args:
        size: width and height that it must have, in pixels; a file of another size is not decoded.

    Raises:
        FileNotFoundError: there is none.
        InputError: it cannot be read, is no PNG image, cut off, damaged, an animation, or of
            another size.
    """
    data = read_bytes(path)
    if data and not data.startswith(PNG):
        found = name_format(data[:HEADER_BYTES]) or "of an unknown format"
        raise InputError(
            f"{path}: is {found}, but masks and id maps must be PNG images; use the PNG file"
        )
    image = open_image(path, io.BytesIO(data))
    if size is not None:
        check_size(path, image.size[::-1], size)
    # OpenCV notices wrong checksums and missing rows and keeps 16 bits of colours, Pillow does not.
    indexed = image.mode == "P"
    samples: Any = decode(_as_grey(data, image) if indexed else data, cv2.IMREAD_UNCHANGED)
    palette = _palette(image) if indexed else None
    if samples is None or (indexed and palette is None):
        raise InputError(f"{path}: is truncated or cannot be decoded as PNG; {RECOPY}")
    # OpenCV makes an alpha channel of a transparent colour, and spreads few bits over 8.
    key = image.info.get("transparency")
    if image.mode == "RGB":
        return Stored(samples[..., 2::-1], transparent=key)
    if image.mode in ("1", "L", "I;16", "P"):
        form = raw_mode(image)
        if samples.ndim == 3:
            samples = samples[..., 0]
        if form in _STEPS:
            samples = samples // _STEPS[form]
        if form == "1" and key:
            key = 1  # Pillow says 255
        return Stored(samples, palette, None if indexed else key)
    return Stored(samples)


def _as_grey(data: bytes, image: ImageFile) -> bytes:
    """A palette file as a grey one, of which OpenCV decodes the indices."""
    head = data[12:25] + b"\0" + data[26:29]  # the chunk IHDR with another type of colour
    pixels = image.tile[0][2] - 8  # where the chunk of the first begins
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[pixels:]


def _palette(image: ImageFile) -> npt.NDArray[np.uint8] | None:
    """Red, green, blue and alpha of each index, uint8 [N, 4]; None: there is no valid palette."""
    colours = bytes(image.palette.palette or b"") if image.palette else b""
    if not colours or len(colours) % 3:
        return None
    palette = np.full((len(colours) // 3, 4), 255, np.uint8)
    palette[:, :3] = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    alpha = image.info.get("transparency", b"")
    if isinstance(alpha, int):  # the one index that is transparent
        alpha = b"\xff" * alpha + b"\0"
    alpha = alpha[: len(palette)]
    palette[: len(alpha), 3] = np.frombuffer(alpha, np.uint8)
    return palette


def check_size(path: Path, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    """Checks that an array of this shape belongs to an image of `size` (width, height).

    Raises:
        InputError: it does not.
    """
    if shape != size[::-1]:
        found = " x ".join(map(str, shape[::-1]))
        raise InputError(
            f"{path}: is {found} pixels, its image {size[0]} x {size[1]}; use masks, maps and "
            "images of the same release"
        )
