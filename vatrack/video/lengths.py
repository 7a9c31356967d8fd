"""Whether a file is shorter than it says: Matroska and WebM (RFC 8794, RFC 9559), MP4 and MOV (ISO
14496-12), AVI (RIFF)."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")  # a file's first may be


def lacks_bytes(path: Path) -> bool:
    """Whether the frames of a file reach beyond its end.

    False for other forms, and where their size is unknown, as in a live recording.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:], "little") > size
        end = _end_of_media(stream, size) if head[4:] in _BOXES else _end_of_segment(stream)
    return end is not None and end > size


def _end_of_media(stream: BinaryIO, size: int) -> int | None:
    """Where the last box of frames that the file begins ends; None: unknown."""
    start, found = 0, None
    while start < size:
        stream.seek(start)
        if len(head := stream.read(16)) < 8:
            break
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # the next 8 bytes are the length
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end of the file
            break
        start += length
        if head[4:8] == b"mdat":
            found = start
    return found


def _end_of_segment(stream: BinaryIO) -> int | None:
    """Where the segment of a Matroska file ends; None: unknown, or another form."""
    stream.seek(0)
    if stream.read(4) != _EBML:
        return None
    header = _size(stream.read(8))
    if header is None:
        return None
    start = 4 + header[0] + header[1]
    stream.seek(start)
    if stream.read(4) != _SEGMENT:
        return None
    segment = _size(stream.read(8))
    return None if segment is None else start + 4 + segment[0] + segment[1]


def _size(data: bytes) -> tuple[int, int] | None:
    """Length of a size field in bytes, and its value; None: unknown or no size field."""
    length = 9 - data[0].bit_length() if data and data[0] else 0
    if not length or len(data) < length:
        return None
    value = int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else (length, value)
