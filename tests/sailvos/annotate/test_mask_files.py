"""Raw masks in every form in which a program may have saved them: right numbers or a refusal."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any

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
    chunk,
    orientation,
    palette,
    png,
)
from tests.sailvos.annotate.raw_tree import CAR, run, small_map, write_small
from vatrack.common.errors import InputError
from vatrack.sailvos.annotate.mask_files import read_amodal, read_ids

HEIGHT, WIDTH = 9, 13
SIZE = (WIDTH, HEIGHT)
BOX = np.zeros((HEIGHT, WIDTH), np.int64)
BOX[2:7, 3:11] = 1
OTHER = np.roll(BOX, 2, axis=1)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def channels(*values: Any) -> np.ndarray:
    """[H, W, C]; a number stands for a channel that has it everywhere."""
    return np.dstack([np.broadcast_to(value, BOX.shape) for value in values])


READ = {
    **{f"grey, {depth} bit, {value}": png(BOX * value, GREY, depth)
       for depth, value in [(1, 1), (2, 1), (4, 1), (4, 15), (8, 1), (8, 255)]},
    **{f"grey, 16 bit, {value}": png(BOX * value, GREY, 16) for value in (1, 255, 256, 65535)},
    "interlaced": png(BOX, GREY, passes=True),
    "interlaced, 1 bit": png(BOX, GREY, 1, passes=True),
    **{f"colour {number}, {depth} bit": png(np.roll(channels(BOX, 0, 0), number, 2), COLOUR, depth)
       for number in range(3) for depth in (8, 16)},
    **{f"palette, {depth} bit": png(BOX, PALETTE, depth, palette(BLACK, (1, 0, 0)))
       for depth in (1, 2, 4, 8)},
    "palette of many": png(BOX * 200, PALETTE, 8, palette(BLACK, *[(3, 0, 0)] * 200)),
    "palette filled up with black": png(BOX, PALETTE, 8, palette(BLACK, WHITE, *[BLACK] * 254)),
    "palette, interlaced": png(BOX * 3, PALETTE, 2, palette(*[BLACK] * 3, WHITE), passes=True),
    "turned": png(BOX, GREY, more=orientation(3)),
    "gamma": png(BOX, GREY, more=chunk(b"gAMA", struct.pack(">I", 999_999))),
    # Transparency that says nothing, the same, or all.
    **{f"grey and opaque alpha, {depth} bit": png(channels(BOX, 200), GREY_ALPHA, depth)
       for depth in (8, 16)},
    "grey and weak alpha": png(channels(BOX, 1), GREY_ALPHA),
    "grey and its own alpha": png(channels(BOX, BOX), GREY_ALPHA),
    **{f"white and alpha, {depth} bit": png(channels(255, 255, 255, BOX), COLOUR_ALPHA, depth)
       for depth in (8, 16)},
    "dark red and opaque alpha": png(channels(BOX, 0, 0, 255), COLOUR_ALPHA),
    "dark blue and its own alpha": png(channels(0, 0, BOX, BOX * 9), COLOUR_ALPHA, 16),
    "transparent black": png(BOX, GREY, more=chunk(b"tRNS", b"\0\0")),
    "transparent black, 4 bit": png(BOX, GREY, 4, chunk(b"tRNS", b"\0\0")),
    "transparent black, 1 bit": png(BOX, GREY, 1, chunk(b"tRNS", b"\0\0")),
    "grey, one of them transparent, 4 bit": png(BOX + 1, GREY, 4, chunk(b"tRNS", b"\0\1")),
    "a transparent grey that is not there": png(BOX, GREY, 16, chunk(b"tRNS", b"\1\1")),
    "transparent black of colours": png(channels(BOX, 0, 0), COLOUR, more=chunk(b"tRNS", bytes(6))),
    "white, one of them transparent": png(BOX + 1, GREY, more=chunk(b"tRNS", b"\0\1")),
    "palette and transparency": png(
        BOX, PALETTE, 8, palette(BLACK, WHITE) + chunk(b"tRNS", b"\0\xff")
    ),
    "palette and weak transparency": png(
        BOX, PALETTE, 1, palette(BLACK, WHITE) + chunk(b"tRNS", b"\0\x80")
    ),
    "palette of whites and transparency": png(
        BOX + 1, PALETTE, 8, palette(BLACK, WHITE, WHITE) + chunk(b"tRNS", b"\xff\0\xff")
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", READ)
def test_the_object_is_where_something_is_stored(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.png").write_bytes(READ[form])
    mask = read_amodal(tmp_path / "a.png", SIZE)
    assert mask is not None and mask.dtype == np.uint8
    assert np.array_equal(mask != 0, BOX != 0)


AMBIGUOUS = "is ambiguous, its colours and its transparency show different objects; save it as"
TWO = palette(BLACK, WHITE)
COLOURED = png(BOX, PALETTE, 8, TWO)
REFUSED = {
    "alpha of another object": (png(channels(BOX, OTHER), GREY_ALPHA), AMBIGUOUS),
    "black and alpha": (png(channels(0, 0, 0, BOX), COLOUR_ALPHA), AMBIGUOUS),
    "nothing opaque": (png(channels(BOX, 0), GREY_ALPHA, 16), AMBIGUOUS),
    "transparent object": (png(BOX, GREY, more=chunk(b"tRNS", b"\0\1")), AMBIGUOUS),
    "transparent object, 1 bit": (png(BOX, GREY, 1, more=chunk(b"tRNS", b"\0\1")), AMBIGUOUS),
    "palette upside down": (
        png(BOX, PALETTE, 1, palette(WHITE, BLACK)),
        "is ambiguous, palette indices and their colours show different objects",
    ),
    "black palette": (png(BOX, PALETTE, 1, palette(BLACK, BLACK)), "is ambiguous"),
    "short palette": (png(BOX * 5, PALETTE, 8, palette(BLACK, WHITE)), "uses colour 5"),
    "no palette": (png(BOX, PALETTE), "is truncated or cannot be decoded"),
    "animation": (png(BOX, GREY, more=ANIMATION), "is an animated PNG"),
    "enormous": (png(BOX)[:16] + struct.pack(">II", 50_000, 50_000) + png(BOX)[24:],
                 "its header is damaged"),
    "other size": (png(BOX.T), "is 9 x 13 pixels, its image 13 x 9"),
    "JPEG": (cv2.imencode(".jpg", BOX * 255)[1].tobytes(), "is a JPEG image, but masks"),
    "BMP": (cv2.imencode(".bmp", BOX * 255)[1].tobytes(), "is a BMP image, but masks"),
    "GIF": (b"GIF89a" + bytes(99), "is a GIF image, but masks"),
    "half of the rows": (
        png(BOX)[:33] + png(BOX[:4])[33:], "is truncated or cannot be decoded as PNG"
    ),
    "half of the rows of a palette": (
        COLOURED[:33] + png(BOX[:4], PALETTE, 8, TWO)[33:],
        "is truncated or cannot be decoded as PNG",
    ),
    "wrong checksum of a palette's pixels": (
        COLOURED[:-13] + b"\0" + COLOURED[-12:], "is truncated or cannot be decoded as PNG"
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", REFUSED)
def test_masks_that_are_refused(tmp_path: Path, form: str) -> None:
    content, message = REFUSED[form]
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_amodal(tmp_path / "a.png", SIZE)
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: {message}")


def test_no_cut_off_mask_is_taken(tmp_path: Path) -> None:
    content = READ["grey and its own alpha"]
    for size in range(len(content)):
        (tmp_path / "a.png").write_bytes(content[:size])
        with pytest.raises(InputError, match=r"a\.png: "):
            read_amodal(tmp_path / "a.png", SIZE)


def test_an_enormous_mask_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(png(np.zeros((1, 1 << 20))))
    monkeypatch.setattr("vatrack.common.png.decode", None)
    with pytest.raises(InputError, match="is 1048576 x 1 pixels, its image 13 x 9"):
        read_amodal(tmp_path / "a.png", SIZE)


@pytest.mark.parametrize("name", ["000004.jpg", "000004.BMP", "000004.tif"])
def test_masks_of_another_format_are_not_passed_over(small: Path, name: str) -> None:
    mask = small / CAR / "000004.png"
    (small / CAR / name).write_bytes(
        cv2.imencode(Path(name).suffix, np.zeros((8, 12), np.uint8))[1].tobytes()
    )
    run(small)  # beside a PNG file they do no harm
    mask.unlink()
    with pytest.raises(InputError, match=rf"{name}: is a \w+ image, but masks and id maps must be"):
        run(small)


IDS = np.array([[0, 1, 2], [300, 70_000, 5]])
MAPS = {
    **{dtype: IDS.astype(dtype) for dtype in ("<i4", ">i4", "<u4", ">u4", "<i8", "<u8", ">u8")},
    "Fortran": np.asfortranarray(IDS),
    "Fortran, big-endian": np.asfortranarray(IDS.astype(">u8")),
}


@pytest.mark.parametrize("form", MAPS)
def test_maps_of_every_integer(tmp_path: Path, form: str) -> None:
    np.save(tmp_path / "a.npy", MAPS[form])
    ids = read_ids(tmp_path / "a.npy", (3, 2))
    assert np.array_equal(ids, IDS)
    assert ids.dtype.isnative and ids.dtype != np.uint64 and ids.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint64, ">u2"])
def test_any_type_of_map_gives_the_same_annotations(small: Path, dtype: Any) -> None:
    expected = run(small)[0]
    for number in (3, 4, 5):
        np.save(small / "visible" / f"{number:06d}.npy", small_map().astype(dtype))
    assert run(small)[0] == expected


def npy(header: str, data: bytes = bytes(48), version: bytes = b"\1\0") -> bytes:
    text = header.encode("latin1").ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


HEADER = "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3), }"


def saved(value: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, value, version)
    return stream.getvalue()


BAD_MAPS = {
    "zip": (b"PK\3\4" + bytes(90), "is not a NumPy array, but a zip archive"),
    "zip's end": (b"PK\5\6" + bytes(18), "is not a NumPy array"),
    "pickle": (b"\x80\4\x95" + bytes(40), "is not a NumPy array"),
    "one byte": (b"\x93", "is truncated"),
    **{f"cut after {size}": (saved(IDS)[:size], "is truncated")
       for size in (6, 7, 8, 9, 10, 90, 175)},
    "longer": (saved(IDS) + b"\0", "has more data than its header says"),
    "code": (npy("__import__('os').system('touch /tmp/x')"), "is truncated or damaged"),
    "nested": (npy("(" * 100), "is truncated or damaged"),
    "not closed": (npy(HEADER[:-3]), "is truncated or damaged"),
    "no dictionary": (npy("[1, 2]"), "is truncated or damaged"),
    "other keys": (npy("{'descr': '<i8'}"), "is truncated or damaged"),
    "unknown type": (npy(HEADER.replace("<i8", "<q99")), "is truncated or damaged"),
    "version": (npy(HEADER, version=b"\x09\0"), "is truncated or damaged"),
    "negative": (npy(HEADER.replace("(2, 3)", "(-2, -3)")), "is -3 x -2 pixels"),
    "enormous": (npy(HEADER.replace("(2, 3)", f"({10**15}, 3)")), f"is 3 x {10**15} pixels"),
    "no size": (npy(HEADER.replace("(2, 3)", "()")), "is  pixels"),
    "text as shape": (npy(HEADER.replace("(2, 3)", "'ab'")), "is truncated or damaged"),
    "long header": (npy(HEADER.ljust(20_000)), "is truncated or damaged"),
    "bool": (saved(IDS > 0), "contains bool, but object ids must be integers"),
    "float": (saved(IDS * 1.0), "contains float64"),
    "complex": (saved(IDS * 1j), "contains complex128"),
    "dates": (saved(IDS.astype("M8[s]")), "contains datetime64"),
    "text": (saved(IDS.astype(str)), "contains <U"),
    "object": (saved(IDS.astype(object)), "contains object"),
    "structured": (saved(np.zeros((2, 3), [("id", "<i8")])), "contains [('id', '<i8')]"),
    "named in Unicode": (saved(np.zeros((2, 3), [("Ω漢", "<i8")]), (3, 0)), "contains [("),
    "too large": (saved(np.full((2, 3), 2**63, np.uint64)), f"contains the object id {2**63}"),
    "wrapped": (saved(np.full((2, 3), 200).astype(np.int8)), "contains the negative object id -56"),
}  # fmt: skip


@pytest.mark.parametrize("form", BAD_MAPS)
def test_maps_that_are_refused(tmp_path: Path, form: str) -> None:
    content, message = BAD_MAPS[form]
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_ids(tmp_path / "a.npy", (3, 2))
    assert str(caught.value).startswith(f"{tmp_path / 'a.npy'}: {message}")


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    for read in (read_ids, read_amodal):
        with pytest.raises(InputError, match="a: is a pipe"):
            read(tmp_path / "a", SIZE)


def test_folders_of_macos_are_no_videos_and_no_objects(small: Path) -> None:
    expected = run(small)
    junk = write_small(small.parent / "__MACOSX")
    (junk / "9_Junk_Ped").mkdir()
    for folder in (small, small / "images", small / CAR, small / "visible"):
        (folder / ".DS_Store").touch()
        for path in list(folder.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                (folder / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    assert run(small) == expected


def test_a_video_whose_name_begins_with_a_dot(small: Path) -> None:
    write_small(small.parent, ".two")
    with pytest.raises(InputError, match=r"\.two: starts with a dot.*rename it"):
        run(small)
