"""Pictures, mostly such as are wrong."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from vatrack.common.errors import InputError
from vatrack.common.images import check_image, read_image


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".bmp", ".png"])
@pytest.mark.parametrize("asked", [".bmp", ".png"])
def test_reads_both_kinds_under_either_name(
    tmp_path: Path, picture: np.ndarray, suffix: str, asked: str
) -> None:
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), picture)
    assert np.array_equal(read_image(tmp_path / f"a{asked}"), picture)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_become_bgr(
    tmp_path: Path, picture: np.ndarray, channels: int
) -> None:
    layers = (
        picture[..., :1] if channels == 1 else np.dstack([picture, np.full((9, 14), 7, np.uint8)])
    )
    for suffix in (".bmp", ".png"):
        assert cv2.imwrite(str(tmp_path / f"a{suffix}"), layers)
        expected = np.repeat(layers, 3, axis=2) if channels == 1 else picture
        assert np.array_equal(read_image(tmp_path / f"a{suffix}"), expected)


@pytest.mark.parametrize("suffix", [".bmp", ".png"])
def test_no_cut_off_picture_is_taken(tmp_path: Path, picture: np.ndarray, suffix: str) -> None:
    """At whatever byte the file ends. OpenCV alone accepts many of these."""
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), picture)
    whole = path.read_bytes()
    check_image(path)
    # The last bytes of a PNG are the check sum of its end mark, which holds no picture.
    for size in range(len(whole) - (8 if suffix == ".png" else 0)):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"a\.(bmp|png): .*(cut off|empty|neither)") as caught:
            read_image(path)
        assert "again" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bmp", None, "no such frame"),
        ("a.bmp", b"", "is empty"),
        ("a.bmp", b"GIF89a and so on", "neither a BMP nor a PNG"),
        ("a.jpg", b"BM", r"frames are \.bmp or \.png"),
        (
            "a.png",
            b"\x89PNG\r\n\x1a\n" + bytes(30) + b"IEND\xaeB`\x82",
            "its header says 0 x 0 pixels",
        ),
    ],
)
def test_bad_pictures(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / name)


def test_a_header_that_claims_an_enormous_picture_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "000003.png"
    assert cv2.imwrite(str(path), np.zeros((8, 12, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"000003\.png: cannot be decoded"):
        read_image(path)


def test_sizes_from_headers(tmp_path: Path) -> None:
    for suffix in (".bmp", ".png"):
        assert cv2.imwrite(str(tmp_path / f"a{suffix}"), np.zeros((3, 5, 3), np.uint8))
        assert check_image(tmp_path / f"a{suffix}") == (5, 3)
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[22:26] = (-3).to_bytes(4, "little", signed=True)
    (tmp_path / "down.bmp").write_bytes(data)
    assert check_image(tmp_path / "down.bmp") == (5, 3)
