"""PNG files as what is stored in them: samples, palette and transparency, without any conversion.

OpenCV decodes the pixels. What would make it change them (orientation, gamma, palette, transparent
colour) is taken out of the file before, and is given beside them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vatrack.common.image_headers import AGAIN, PNG
from vatrack.common.images import decode

_GREY, _COLOUR, _PALETTE = 0, 2, 3
# Channels that OpenCV gives, by the colour type of the PNG file: grey, colour, palette (read as
# grey here), grey and colour with alpha.
_CHANNELS = {_GREY: 1, _COLOUR: 3, _PALETTE: 1, 4: 4, 6: 4}
_DAMAGED = f"is truncated or cannot be decoded as PNG; {AGAIN}"


@dataclass(frozen=True)
class Chunks:
    """A PNG file, not decoded: what its header says, its pixels as they are packed, the rest."""

    width: int
    height: int
    depth: int
    colour: int
    more: bytes
    pixels: list[bytes]
    others: dict[bytes, bytes]


@dataclass(frozen=True)
class Stored:
    """What a PNG file holds.

    Attributes:
        samples: uint8 or uint16 [H, W] of a grey or palette file (samples of 1, 2 and 4 bits are
            spread over 8, so that 0 stays 0), [H, W, 3 or 4] in the order BGR and alpha else.
        step: by how much two neighbouring samples differ, more than 1 for 1, 2 and 4 bits.
        palette: uint8 [N, 4], red, green, blue and alpha of each number in `samples`; or None.
        transparent: the one colour that is transparent (a sample, or blue, green and red), or None.
    """

    samples: npt.NDArray[Any]
    step: int
    palette: npt.NDArray[np.uint8] | None
    transparent: tuple[int, ...] | None


def split_png(data: bytes) -> Chunks:
    """Takes a PNG file apart.

    Raises:
        ValueError: it is cut off, damaged or an animation; says what, and the fix.
    """
    chunks = _chunks(data)
    if len(chunks) < 3 or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise ValueError(_DAMAGED)
    width, height, depth, colour = struct.unpack_from(">IIBB", chunks[0][1])
    pixels = [content for name, content in chunks if name == b"IDAT"]
    others = {name: content for name, content in chunks if name != b"IDAT"}
    if b"acTL" in others:
        raise ValueError("is an animated PNG; save it as a plain PNG with one image")
    return Chunks(width, height, depth, colour, chunks[0][1][10:], pixels, others)


def read_stored(png: Chunks) -> Stored:
    """Decodes a PNG file whose size is an expected one.

    Raises:
        ValueError: it is damaged, or of a form that does not exist; says what, and the fix.
    """
    colour = _GREY if png.colour == _PALETTE else png.colour
    head = struct.pack(">IIBB", png.width, png.height, png.depth, colour) + png.more
    pixels = [(b"IDAT", content) for content in png.pixels]
    samples = decode(_file([(b"IHDR", head), *pixels, (b"IEND", b"")]), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise ValueError(_DAMAGED)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if samples.shape[:2] != (png.height, png.width) or channels != _CHANNELS.get(png.colour):
        raise ValueError(_DAMAGED)
    keys = png.others.get(b"tRNS")
    palette = transparent = None
    if png.colour == _PALETTE:
        palette = _palette(png.others.get(b"PLTE", b""), keys or b"")
    elif keys is not None and png.colour in (_GREY, _COLOUR):
        transparent = _transparent(keys, _CHANNELS[png.colour])
    step = 255 // (2**png.depth - 1) if png.depth < 8 else 1
    return Stored(samples, step, palette, transparent)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of each chunk, of which the first is the header and the last the end."""
    found = []
    position = len(PNG)
    while data.startswith(PNG) and position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        name, content = data[position + 4 : position + 8], data[position + 8 : end - 4]
        if zlib.crc32(content, zlib.crc32(name)).to_bytes(4, "big") != data[end - 4 : end]:
            raise ValueError(_DAMAGED)
        found.append((name, content))
        if name == b"IEND":
            return found
        position = end
    return []


def _file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG file of these chunks."""
    parts = [PNG]
    for name, content in chunks:
        check = zlib.crc32(content, zlib.crc32(name))
        parts += [struct.pack(">I", len(content)), name, content, struct.pack(">I", check)]
    return b"".join(parts)


def _palette(colours: bytes, alphas: bytes) -> npt.NDArray[np.uint8]:
    count = len(colours) // 3
    if not count or len(colours) % 3 or len(alphas) > count:
        raise ValueError(f"has no valid palette; {AGAIN}")
    found = np.full((count, 4), 255, np.uint8)
    found[:, :3] = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    found[: len(alphas), 3] = np.frombuffer(alphas, np.uint8)
    return found


def _transparent(keys: bytes, channels: int) -> tuple[int, ...]:
    if len(keys) != 2 * channels:
        raise ValueError(f"has an invalid transparent colour; {AGAIN}")
    values: tuple[Any, ...] = struct.unpack(f">{channels}H", keys)
    return values[::-1]
