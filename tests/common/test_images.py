"""Images, mostly such as are wrong."""

from __future__ import annotations

import ctypes
import os
import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.common.image_files import (
    ANIMATION,
    COLOUR,
    COLOUR_ALPHA,
    GREY,
    GREY_ALPHA,
    PALETTE,
    bmp,
    bmp_rows,
    chunk,
    orientation,
    palette,
    png,
    run_lengths,
)
from vatrack.common import image_headers
from vatrack.common.errors import PERMIT, InputError
from vatrack.common.image_headers import BadImage, Header, read_header
from vatrack.common.images import check_image, read_image

SAMPLES = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
BGRA = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


@pytest.fixture(autouse=True)
def _pillow_is_set_up_anew() -> None:
    image_headers._readers.cache_clear()  # pytest has taken back its filter of warnings


@pytest.fixture
def frame() -> np.ndarray:
    return SAMPLES.copy()


@pytest.mark.parametrize("suffix", [".bmp", ".png"])
@pytest.mark.parametrize("asked", [".bmp", ".png"])
def test_reads_both_kinds_under_either_name(
    tmp_path: Path, frame: np.ndarray, suffix: str, asked: str
) -> None:
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), frame)
    assert np.array_equal(read_image(tmp_path / f"a{asked}"), frame)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_images_become_bgr(
    tmp_path: Path, frame: np.ndarray, channels: int
) -> None:
    layers = frame[..., :1] if channels == 1 else np.dstack([frame, np.full((9, 14), 7, np.uint8)])
    for suffix in (".bmp", ".png"):
        assert cv2.imwrite(str(tmp_path / f"a{suffix}"), layers)
        expected = np.repeat(layers, 3, axis=2) if channels == 1 else frame
        assert np.array_equal(read_image(tmp_path / f"a{suffix}"), expected)


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".jpg"])
def test_no_truncated_image_is_read(tmp_path: Path, frame: np.ndarray, suffix: str) -> None:
    """At whatever byte the file ends. OpenCV alone accepts many of these."""
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), frame)
    whole = path.read_bytes()
    check_image(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(
            InputError, match=r"a\.(bmp|png|jpg): .*(truncated|empty|is no)"
        ) as caught:
            read_image(path)
        assert "again" in str(caught.value)


def test_a_broken_link_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.symlink_to("a.bmp")
    with pytest.raises(InputError, match=r"a\.bmp: is a broken link; unpack or copy it again$"):
        read_image(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bmp", None, "no such frame"),
        ("a.bmp", b"", "is empty"),
        ("a.bmp", b"GIF89a and so on", "is not a BMP, PNG or JPEG image, but a GIF image"),
        ("a.jpg", b"\xff\xd8\xff\xe0\0\2JFIF", "truncated inside its header"),
        ("a.jpg", b"\xff\xd8\xff\xe0\0\2\xff\xda\0\2", "truncated inside its header"),
        ("a.png", b"no image\n", "is not a BMP, PNG or JPEG image, but text"),
        ("a.png", bytes(90), "is not a BMP, PNG or JPEG image; "),
        ("a.bmp", b"version https://git-lfs.github.com/spec/v1", "but a Git LFS pointer"),
        ("a.png", png(np.zeros((2, 2, 3)), COLOUR, more=ANIMATION), "is an animated PNG"),
        (
            "a.png",
            png(np.zeros((2, 2)), more=chunk(b"acTL", bytes(8))),  # of no frames
            "is an animated PNG",
        ),
        (
            "a.bmp",
            bmp(2, 2, bytes(16), start=14),
            "places the pixel data at byte 14, inside the header",
        ),
        (
            "a.bmp",
            bmp(2, 2, bytes(16), start=0),
            "places the pixel data at byte 0, inside the header",
        ),
        ("a.bmp", bmp(2, 2, bytes(40), length=16), "damaged or not supported"),
        (
            "a.bmp",
            bmp(2, 2, bytes(16), 32, 3, struct.pack("<4I", 255, 65280, 7, 0)),
            "damaged or not supported .*, or save it as PNG",
        ),
        ("a.bmp", bmp(2, 2, bytes(16), 24, 5), "damaged or not supported"),
        ("a.bmp", bmp(10_001, 10_000, bytes(16)), "its header says 10001 x 10000 pixels"),
        ("a.gif", b"GIF8", "is not a BMP, PNG or JPEG image, but a GIF image"),
        ("a.dat", png(np.zeros((2, 2))), r"frames must be \.bmp, \.png, \.jpg or \.jpeg files"),
        ("a.png", png(np.zeros((2, 2)))[:-1] + b"x", "damaged, the checksum of its end is wrong"),
        (
            "a.png",
            b"\x89PNG\r\n\x1a\n" + bytes(30) + b"IEND\xaeB`\x82",
            "its header is damaged",
        ),
        ("a.png", png(np.zeros((0, 2))), "its header is damaged"),
        ("a.png", png(np.zeros((0, 2)), size=(10**5, 10**5)), "header says 100000 x 100000"),
        ("a.png", png(np.zeros((2, 2)))[:-1], "truncated, its data has no end"),
        (
            "a.bmp",
            bmp(2, 2, bytes(16), 32, 3, struct.pack("<3I", 255 << 24, 255 << 16, 255 << 8)),
            "unsupported bit layout; save it as PNG",
        ),
    ],
)
def test_bad_images(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / name)


def test_what_libpng_says_without_the_name_of_the_file_is_not_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, whole = tmp_path / "a.png", png(SAMPLES, COLOUR, more=chunk(b"tIME", b"no time"))
    path.write_bytes(whole)
    assert np.array_equal(read_image(path), SAMPLES[..., ::-1])
    damaged = bytearray(whole)
    damaged[whole.index(b"IDAT") + 50] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"a\.png: cannot be decoded; unpack or copy it again$"):
        read_image(path)
    ctypes.CDLL(None).perror(b"C")
    (line,) = capfd.readouterr().err.splitlines()  # what others say is shown
    assert line.startswith("C: ")


def test_jpeg_frames_are_read_as_they_are_stored(tmp_path: Path, frame: np.ndarray) -> None:
    """With an orientation, in grey, progressive, and with data behind the end."""
    path = tmp_path / "a.jpg"
    assert cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    stored = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    whole = path.read_bytes()
    tiff = b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(whole[:2] + segment + whole[2:] + bytes(1000))
    assert read_header(path).turned
    assert np.array_equal(read_image(path), stored)
    assert np.array_equal(read_image(tmp_path / "a.bmp"), stored)
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(exif + whole) + 2) + exif + whole
    path.write_bytes(whole[:2] + thumbnail + whole[2:-2])  # only the thumbnail has an end
    with pytest.raises(InputError, match=r"a\.jpg: truncated"):
        read_image(path)
    path.write_bytes(whole)
    assert not read_header(path).turned
    assert cv2.imwrite(str(path), frame[..., 0])
    assert read_image(path).shape == frame.shape


JPEG = cv2.imencode(".jpg", SAMPLES)[1].tobytes()
LARGE = zlib.compress(bytes(2_000_000))
HEADERS = {
    "grey": (png(SAMPLES[..., 0]), Header(14, 9)),
    "1 bit": (png(SAMPLES[..., 0] % 2, GREY, 1), Header(14, 9)),
    "16 bits": (png(SAMPLES[..., 0], GREY, 16), Header(14, 9, depth=16)),
    "colours of 16 bits": (png(SAMPLES, COLOUR, 16), Header(14, 9, depth=16)),
    "interlaced": (png(SAMPLES, COLOUR, passes=True), Header(14, 9)),
    "grey and alpha": (png(SAMPLES[..., :2], GREY_ALPHA), Header(14, 9, alpha=True)),
    "alpha of 16 bits": (
        png(SAMPLES[..., [0, 1, 2, 0]], COLOUR_ALPHA, 16),
        Header(14, 9, depth=16, alpha=True),
    ),
    "a transparent colour": (
        png(SAMPLES, COLOUR, more=chunk(b"tRNS", bytes(6))),
        Header(14, 9, alpha=True),
    ),
    **{
        f"orientation {value}": (
            png(SAMPLES, COLOUR, more=orientation(value)),
            Header(14, 9, turned=1 < value < 9),
        )
        for value in range(10)
    },
    **{
        f"damaged orientation {number}": (
            png(SAMPLES, COLOUR, more=chunk(b"eXIf", damaged)),
            Header(14, 9),
        )
        for number, damaged in enumerate(
            [b"", b"MM\0*", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x09"]
        )
    },
    "JPEG": (JPEG, Header(14, 9)),
    "JPEG, damaged EXIF": (
        JPEG[:2] + b"\xff\xe1\0\x10Exif\0\0MM\0*\0\0\0\x63" + JPEG[2:],
        Header(14, 9),
    ),
    "2 MB of text": (
        png(SAMPLES, COLOUR, more=chunk(b"zTXt", b"Comment\0\0" + LARGE)),
        Header(14, 9),
    ),
    "a colour profile of 2 MB": (
        png(SAMPLES, COLOUR, more=chunk(b"iCCP", b"ICC\0\0" + LARGE)),
        Header(14, 9),
    ),
    "BMP": (cv2.imencode(".bmp", SAMPLES)[1].tobytes(), Header(14, 9)),
    "BMP and alpha": (
        bmp(14, 9, bytes(14 * 9 * 4), 32, 3, struct.pack("<4I", *BGRA), length=56),
        Header(14, 9, alpha=True),
    ),
}


@pytest.mark.parametrize("form", HEADERS)
def test_headers(tmp_path: Path, recwarn: pytest.WarningsRecorder, form: str) -> None:
    """Without warnings of Pillow, which name no file."""
    content, header = HEADERS[form]
    (tmp_path / "a.png").write_bytes(content)
    assert read_header(tmp_path / "a.png") == header
    assert not recwarn.list


def test_what_is_no_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "000001.bmp").mkdir()
    os.mkfifo(tmp_path / "000002.png")  # reading it would wait for ever
    for name, found in (("000001.bmp", "a folder"), ("000002.png", "a pipe")):
        for read in (read_image, check_image):
            with pytest.raises(InputError, match=rf"{name}: is {found}"):
                read(tmp_path / name)


@pytest.mark.parametrize("asked", ["is_file", "exists", "stat"])
def test_a_folder_without_permission_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Root may read everything, so the system's refusal is played."""

    def refuse(*_: object, **__: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, asked, refuse)
    with pytest.raises(BadImage, match=rf"png: permission denied; {PERMIT}$"):
        read_image(tmp_path / "closed" / "000001.png")


def test_the_reason_outlasts_a_process_boundary() -> None:
    error = BadImage("a.bmp: cut off")
    error.fault = "cut-off"
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.fault) == ("a.bmp: cut off", "cut-off")


@pytest.mark.parametrize("depth", [8, 16])
def test_forms_of_png(tmp_path: Path, frame: np.ndarray, depth: int) -> None:
    """Of 16 bits the upper 8 are used, transparency is left out, no orientation is followed."""
    path = tmp_path / "a.png"
    samples = frame[..., ::-1].astype(np.uint16)
    if depth == 16:
        samples = (samples << 8 | 0x37).astype(np.uint16)
    alpha = np.full_like(samples[..., :1], 7)
    key = chunk(b"tRNS", samples[0, 0].astype(">u2").tobytes())
    for content in (
        png(samples, COLOUR, depth),
        png(samples, COLOUR, depth, passes=True),
        png(np.dstack([samples, alpha]), COLOUR_ALPHA, depth),
        png(samples, COLOUR, depth, key),
        *(png(samples, COLOUR, depth, orientation(value)) for value in range(1, 9)),
    ):
        path.write_bytes(content)
        assert np.array_equal(read_image(path), frame)
    path.write_bytes(png(np.dstack([samples[..., 0], alpha]), GREY_ALPHA, depth))
    assert np.array_equal(read_image(path), np.repeat(frame[..., 2:], 3, axis=2))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_and_few_bits(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "a.png"
    numbers = np.arange(9 * 14).reshape(9, 14) % 2
    colours = palette((9, 8, 7), (1, 2, 255))
    path.write_bytes(png(numbers, PALETTE, depth, colours))
    assert np.array_equal(read_image(path), np.array([[7, 8, 9], [255, 2, 1]])[numbers])
    path.write_bytes(png(numbers, GREY, depth))
    assert np.array_equal(
        read_image(path)[..., 0], numbers * (255 // (2**depth - 1) if depth < 8 else 1)
    )


BMP_FORMS = {
    "OS/2": lambda image: bmp(14, 9, bmp_rows(image), length=12),
    "top row first": lambda image: bmp(14, -9, bmp_rows(image[::-1])),
    "wrong size of the file": lambda image: bmp(14, 9, bmp_rows(image), whole=7),
    "no size of the file": lambda image: bmp(14, 9, bmp_rows(image), whole=0),
    "too large a size": lambda image: bmp(14, 9, bmp_rows(image), whole=1 << 30),
    "long header": lambda image: bmp(14, 9, bmp_rows(image), length=124, more=bytes(84)),
}


@pytest.mark.parametrize("form", BMP_FORMS)
def test_forms_of_bmp(tmp_path: Path, frame: np.ndarray, form: str) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(BMP_FORMS[form](frame))
    assert check_image(path) == (14, 9)
    assert np.array_equal(read_image(path), frame)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.bmp: truncated"):
        read_image(path)


def test_bmp_of_run_lengths(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    numbers = np.arange(9 * 14).reshape(9, 14) // 5 % 3
    colours = bytes([0, 0, 0, 0, 9, 8, 7, 0, 255, 2, 1, 0]) + bytes(253 * 4)
    content = bmp(14, 9, run_lengths(numbers), 8, 1, colours)
    path.write_bytes(content)
    expected = np.array([[0, 0, 0], [9, 8, 7], [255, 2, 1]])[numbers]
    assert np.array_equal(read_image(path), expected)
    for size in range(1, len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(InputError):
            read_image(path)


def test_a_frame_of_another_size_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(np.zeros((9, 14))))
    assert read_image(path, (14, 9)).shape == (9, 14, 3)
    monkeypatch.setattr("vatrack.common.images.decode", None)
    with pytest.raises(
        InputError, match=r"a\.png: is 14 x 9 pixels, but its annotation says 12 x 8"
    ):
        read_image(path, (12, 8))
