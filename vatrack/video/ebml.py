"""Whether a Matroska or WebM file is shorter than it says (RFC 8794, RFC 9559)."""

from __future__ import annotations

from pathlib import Path

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def lacks_bytes(path: Path) -> bool:
    """Whether the segment of a file reaches beyond the file's end.

    False for other forms, and where the segment's size is unknown, as in a live recording.
    """
    with path.open("rb") as stream:
        if stream.read(4) != _EBML:
            return False
        header = _size(stream.read(8))
        if header is None:
            return False
        stream.seek(4 + header[0] + header[1])
        start = stream.tell()
        if stream.read(4) != _SEGMENT:
            return False
        segment = _size(stream.read(8))
    if segment is None:
        return False
    return start + 4 + segment[0] + segment[1] > path.stat().st_size


def _size(data: bytes) -> tuple[int, int] | None:
    """Length of a size field in bytes, and its value; None: unknown or no size field."""
    length = 9 - data[0].bit_length() if data and data[0] else 0
    if not length or len(data) < length:
        return None
    value = int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else (length, value)
