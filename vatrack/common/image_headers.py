"""What the headers of BMP, PNG and JPEG files say: size, depth, alpha; nothing is decoded."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from vatrack.common.counted import counted
from vatrack.common.errors import InputError

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
AGAIN = "unpack or copy it again"
# More is damage, or an attack on memory: decoded it would take 300 MB.
MOST_PIXELS = 100_000_000
HEADER_BYTES = 70  # of a BMP file with colour masks; of a PNG file the first 33 are read

# Other formats are called by their name where somebody has only changed the suffix.
FORMATS = {
    JPEG: "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"RIFF": "a WebP image",
    b"BM": "a BMP image",
    PNG: "a PNG image",
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "compressed with gzip",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}

# Compression of BMP pixels.
_PLAIN, _RLE8, _RLE4, _BITFIELDS = range(4)
# Red, green and blue masks that OpenCV decodes as they are meant, by bits a pixel.
_MASKS = {
    16: ((0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)),
    32: ((0xFF0000, 0xFF00, 0xFF),),
}
# Markers of a JPEG file's frame header, which has the size: SOF0 to SOF15 without DHT, JPG, DAC.
_FRAME_SEGMENTS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class BadImage(InputError):
    """A file that is no usable image. `fault` says why, in a word: the end of a finding's code."""

    # No argument, because processes that hand an exception on make it anew from its message.
    fault = "undecodable"


def bad_image(path: Path, fault: str, text: str) -> BadImage:
    """A `BadImage` for a file."""
    error = BadImage(f"{path}: {text}")
    error.fault = fault
    return error


@dataclass(frozen=True)
class Header:
    """What the header of an image says.

    Attributes:
        width, height: pixels.
        depth: bits of a sample; 8 for BMP.
        alpha: it has an alpha channel or a transparent colour.
        turned: it has an eXIf orientation that asks viewers to turn or mirror it.
    """

    width: int
    height: int
    depth: int = 8
    alpha: bool = False
    turned: bool = False


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading; a pipe, on which reading could wait for ever, is not opened.

    Raises:
        OSError: it is missing or cannot be opened.
        BadImage: it is a folder, pipe, socket or device.
    """
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise bad_image(path, "unreadable", f"is {found}, not a file; {AGAIN}")
    return Path(path).open("rb")


def name_format(head: bytes) -> str | None:
    """What a file with these first bytes is, as the rest of a sentence; None: nobody knows."""
    for magic, name in FORMATS.items():
        if head.startswith(magic):
            return name
    text = head.isascii() and all(byte >= 32 or byte in b"\t\n\r" for byte in head)
    return "text" if head and text else None


def read_header(path: Path) -> Header:
    """Reads the header of a BMP, PNG or JPEG file and checks that the file is whole, by its end.

    OpenCV fills the missing part of a truncated BMP or JPEG image with grey and says nothing.

    Raises:
        BadImage: the file is missing, empty, cut off, none of the three, an animation, of an
            impossible or enormous size, or a BMP file that OpenCV would decode wrongly.
    """
    try:
        with open_regular(path) as stream:
            head = stream.read(HEADER_BYTES)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 16))
            tail = stream.read()
            if not head:
                raise bad_image(path, "empty", f"is empty; {AGAIN}")
            if head.startswith(b"BM"):
                header = _bmp_header(path, head, size)
            elif head.startswith(PNG):
                if b"IEND" not in tail or len(head) < 33:
                    raise bad_image(path, "cut-off", f"truncated, its PNG data has no end; {AGAIN}")
                header = _png_header(path, head, stream)
            elif head.startswith(JPEG):
                header = _jpeg_header(path, stream, size)
            else:
                found = name_format(head)
                but = f", but {found}" if found else ""
                raise bad_image(path, "format", f"is not a BMP, PNG or JPEG image{but}; {AGAIN}")
    except OSError as error:
        text = f"cannot be read ({error.strerror}); {AGAIN}"
        raise bad_image(path, "unreadable", text) from None
    return header


def _check_sides(path: Path, width: int, height: int) -> None:
    if width <= 0 or height <= 0 or width * height > MOST_PIXELS:
        text = f"its header says {width} x {height} pixels; {AGAIN}"
        raise bad_image(path, "undecodable", text)


def _bmp_header(path: Path, head: bytes, size: int) -> Header:
    cut = bad_image(
        path, "cut-off", f"truncated inside the BMP header ({counted(size, 'byte')}); {AGAIN}"
    )
    if len(head) < 26:
        raise cut
    whole, start, length = struct.unpack_from("<I4xII", head, 2)
    if length == 12:  # of OS/2
        width, height, _, depth = struct.unpack_from("<4H", head, 18)
        packing = _PLAIN
    elif len(head) < 54:
        raise cut
    else:
        width, height, _, depth, packing = struct.unpack_from("<iiHHI", head, 18)
        height = abs(height)  # a negative one says that the top row comes first
    _check_sides(path, width, height)
    if length != 12 and length < 40:
        text = (
            f"its BMP header has {counted(length, 'byte')}, which is not supported; save it as PNG"
        )
        raise bad_image(path, "undecodable", text)
    if start < 14 + length:
        text = f"its header places the pixel data at byte {start}, inside the header; {AGAIN}"
        raise bad_image(path, "undecodable", text)
    # Rows are padded to four bytes; the header's own size may be wrong, and is believed only where
    # nothing else tells the length.
    rows = start + (width * depth + 31) // 32 * 4 * height
    needed = whole if packing in (_RLE8, _RLE4) else rows
    if size < needed:
        text = f"truncated, {size} of {counted(needed, 'byte')}; {AGAIN}"
        raise bad_image(path, "cut-off", text)
    masks = struct.unpack_from("<4I", head, 54) if len(head) == HEADER_BYTES else (0,) * 4
    if packing == _BITFIELDS and masks[:3] not in _MASKS.get(depth, ()):
        text = "has an unsupported bit layout; save it as PNG or 24-bit BMP"
        raise bad_image(path, "undecodable", text)
    return Header(width, height, alpha=packing == _BITFIELDS and length >= 56 and masks[3] > 0)


def _png_header(path: Path, head: bytes, stream: BinaryIO) -> Header:
    width, height, depth, colour = struct.unpack_from(">iiBB", head, 16)
    _check_sides(path, width, height)
    alpha, turned = colour in (4, 6), False
    for name, length in _chunks_before_pixels(stream):
        if name == b"acTL":
            text = "is an animated PNG; save its frames as separate files"
            raise bad_image(path, "undecodable", text)
        if name == b"tRNS":
            alpha = True
        if name == b"eXIf":
            turned = exif_orientation(stream.read(min(length, 1 << 16))) > 1
    return Header(width, height, depth, alpha, turned)


def _chunks_before_pixels(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and length of each chunk between the header and the pixels of a PNG file."""
    position = 33
    while True:
        stream.seek(position)
        chunk = stream.read(8)
        if len(chunk) < 8 or chunk[4:] in (b"IDAT", b"IEND"):
            return
        length = int.from_bytes(chunk[:4], "big")
        yield chunk[4:], length
        position += 12 + length


def _jpeg_header(path: Path, stream: BinaryIO, size: int) -> Header:
    """Reads the segments up to the pixels; the end marker must follow somewhere behind them."""
    position, header, turned = 2, None, False
    while True:
        stream.seek(position)
        marker = stream.read(4)
        if len(marker) < 4:
            raise bad_image(path, "cut-off", f"truncated inside the JPEG header; {AGAIN}")
        if marker[0] != 0xFF:
            raise bad_image(path, "undecodable", f"its JPEG header is damaged; {AGAIN}")
        if marker[1] == 0xFF:  # a filling byte
            position += 1
            continue
        length = int.from_bytes(marker[2:], "big")
        if marker[1] == 0xDA:  # start of scan
            break
        if marker[1] in _FRAME_SEGMENTS:
            values = stream.read(6)
            if len(values) < 6:
                raise bad_image(path, "cut-off", f"truncated inside the JPEG header; {AGAIN}")
            depth, height, width, _ = struct.unpack(">BHHB", values)
            _check_sides(path, width, height)
            header = Header(width, height, depth)
        elif marker[1] == 0xE1 and stream.read(6) == b"Exif\0\0":
            turned = exif_orientation(stream.read(length - 8)) > 1
        position += 2 + length
    if header is None:
        raise bad_image(path, "undecodable", f"its JPEG header has no size; {AGAIN}")
    # Some cameras write data of their own behind the end.
    stream.seek(max(position, size - (1 << 16)))
    if b"\xff\xd9" not in stream.read():
        raise bad_image(path, "cut-off", f"truncated, its JPEG data has no end; {AGAIN}")
    return replace(header, turned=turned)


def exif_orientation(data: bytes) -> int:
    """The orientation in an eXIf chunk, 1 (as stored) to 8; 1 where there is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", data, start + 2 + 12 * entry)
            if tag == 0x112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
