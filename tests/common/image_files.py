"""BMP and PNG files byte by byte, such as no library writes."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import numpy as np

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
# Where the seven passes of an interlaced PNG begin, and their steps: x, y, x, y.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
PASSES += [(0, 1, 1, 2)]


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def png(
    samples: np.ndarray,
    colour: int = GREY,
    depth: int = 8,
    more: bytes = b"",
    passes: bool = False,
    size: tuple[int, int] | None = None,
) -> bytes:
    """A PNG file of samples [H, W] or [H, W, C]; `more` are chunks before the pixels, `size` is
    the width and height that the header claims."""
    width, height = size or samples.shape[1::-1]
    grids = [samples]
    if passes:
        grids = [samples[y::down, x::right] for x, y, right, down in PASSES]
    rows = b"".join(_rows(grid, depth) for grid in grids if grid.size)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, passes)
    parts = [chunk(b"IHDR", head), more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _rows(samples: np.ndarray, depth: int) -> bytes:
    flat = samples.reshape(len(samples), -1)
    if depth == 16:
        return b"".join(b"\0" + row.astype(">u2").tobytes() for row in flat)
    bits = np.unpackbits(flat.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - depth :]
    packed = np.packbits(bits.reshape(len(flat), -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def palette(*colours: tuple[int, int, int]) -> bytes:
    """The chunk of a palette."""
    return chunk(b"PLTE", b"".join(map(bytes, colours)))


def orientation(value: int) -> bytes:
    """The chunk that asks viewers to turn an image."""
    entry = struct.pack(">HHIHH", 0x112, 3, 1, value, 0)
    return chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1" + entry + bytes(4))


ANIMATION = chunk(b"acTL", struct.pack(">II", 2, 0))


def bmp(
    width: int,
    height: int,
    data: bytes,
    depth: int = 24,
    packing: int = 0,
    more: bytes = b"",
    length: int = 40,
    start: int | None = None,
    whole: int | None = None,
) -> bytes:
    """A BMP file; `length` 12 is the header of OS/2, `more` what stands after the header."""
    if length == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, depth)
    else:
        head = struct.pack("<IiiHHI", length, width, height, 1, depth, packing) + bytes(20)
    head += more
    begin = 14 + len(head)
    size = begin + len(data) if whole is None else whole
    first = struct.pack("<2sIII", b"BM", size, 0, begin if start is None else start)
    return first + head + data


def bmp_rows(image: np.ndarray) -> bytes:
    """The pixels of an image [H, W, 3] BGR as a BMP file has them, lowest row first."""
    pad = -3 * image.shape[1] % 4
    return b"".join(row.tobytes() + bytes(pad) for row in image[::-1])


def run_lengths(image: np.ndarray) -> bytes:
    """Pixels [H, W] as an RLE8 bitmap has them."""
    found = b""
    for row in image[::-1]:
        edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        found += b"".join(bytes([b - a, row[a]]) for a, b in pairwise(edges)) + b"\0\0"
    return found[:-1] + b"\1"
