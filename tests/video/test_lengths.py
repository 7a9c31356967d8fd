"""How many bytes a file says that it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from vatrack.video.lengths import lacks_bytes

FTYP = b"\0\0\0\x0cftypmp42"


@pytest.mark.parametrize(
    ("data", "lacks"),
    [
        (b"", False),
        (b"\x1a\x45\xdf\xa3", False),
        (b"\x1a\x45\xdf\xa3\x80", False),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x82ab", False),
        (b"\x1a\x45\xdf\xa3\x81x\x18\x53\x80\x67\x40\x02a", True),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7, False),  # unknown
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x00", False),
    ],
)
def test_matroska(tmp_path: Path, data: bytes, lacks: bool) -> None:
    path = tmp_path / "v.mkv"
    path.write_bytes(data)
    assert lacks_bytes(path) is lacks


@pytest.mark.parametrize(
    ("rest", "lacks"),
    [
        (b"", False),
        (b"\0\0\0\x0amdatab", False),
        (b"\0\0\0\x0amdata", True),
        (b"\0\0\0\x09moova" + b"\0\0\0\x0amdata", True),
        (b"\0\0\0\x09mdata" + b"\0\0\0\x0afreea", False),  # every frame is there
        (b"\0\0\0\x01mdat" + (18).to_bytes(8, "big") + b"ab", False),
        (b"\0\0\0\x01mdat" + (18).to_bytes(8, "big") + b"a", True),
        (b"\0\0\0\x01mdat" + b"\xff" * 8, True),
        (b"\0\0\0\0mdata", False),  # to the end of the file
        (b"\0\0\0\x09mda", False),
    ],
)
def test_mp4(tmp_path: Path, rest: bytes, lacks: bool) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(FTYP + rest)
    assert lacks_bytes(path) is lacks


@pytest.mark.parametrize(("claimed", "lacks"), [(0, False), (6, False), (7, True)])
def test_avi(tmp_path: Path, claimed: int, lacks: bool) -> None:
    path = tmp_path / "v.avi"
    path.write_bytes(b"RIFF" + claimed.to_bytes(4, "little") + b"AVI ab")
    assert lacks_bytes(path) is lacks
