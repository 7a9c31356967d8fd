"""Raw trees and frames that are spoiled in every way, beside the spoils of annotations."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tests.common.image_files import ANIMATION, COLOUR, COLOUR_ALPHA, bmp, orientation, png
from tests.validate.conftest import HEIGHT, VIDEO, WIDTH, Set
from tests.validate.spoils import SPOILS, Spoil, rename, spoils


@spoils("raw-broken")
def nothing_unpacked(s: Set) -> None:
    for video in list(s.raw.iterdir()):
        if video.is_dir():
            shutil.rmtree(video)


@spoils("folder-case", "video-name-case")
def names_in_two_unicode_forms(s: Set) -> None:
    composed, parted = "caf\u00e9", "cafe\u0301"
    rename(s, composed)
    s.valid["videos"][0].update(name=parted, vid_name=parted)
    for image in s.valid["images"]:
        image["file_name"] = f"{parted}/images/{image['file_name'].split('/')[-1]}"
    (s.raw / VIDEO).rename(s.raw / composed)
    valid = next(folder for folder in s.raw.iterdir() if "valid" in folder.name and folder.is_dir())
    valid.rename(s.raw / parted)
    s.raw.joinpath(composed).rename(s.raw / composed.upper())


@spoils("folder-case")
def folder_in_another_unicode_form(s: Set) -> None:
    rename(s, "caf\u00e9")
    (s.raw / VIDEO).rename(s.raw / "cafe\u0301")


@spoils("video-name", "folder-extra")
def name_with_a_dot_before_it(s: Set) -> None:
    rename(s, ".hidden")
    (s.raw / VIDEO).rename(s.raw / ".hidden")


@spoils("folder-case", "frame-empty")
def images_in_other_case(s: Set) -> None:
    s.frame().write_bytes(b"")
    s.images.rename(s.raw / VIDEO / "Images")


@spoils("frame-missing")
def frame_is_a_lost_link(s: Set) -> None:
    s.frame().unlink()
    s.frame().symlink_to(s.raw / "nowhere.bmp")


@spoils()
def broken_links_beside_the_videos(s: Set) -> None:
    for name in ("loop", "gone"):
        (s.raw / name).symlink_to("loop")


@spoils("folder-missing")
def links_in_a_circle_for_folders(s: Set) -> None:
    for folder in (s.images, s.raw / "mini_train_001"):
        shutil.rmtree(folder)
        folder.symlink_to(folder.name)


@spoils("frame-undecodable")
def bmp_damaged(s: Set) -> None:
    data = bytearray(s.frame().read_bytes())
    data[28] = 7  # bits of a pixel
    s.frame().write_bytes(data)


@spoils("frame-undecodable")
def png_damaged(s: Set) -> None:
    image = cv2.imread(str(s.frame()))
    s.frame().unlink()
    png = s.frame().with_suffix(".png")
    assert cv2.imwrite(str(png), image)
    data = bytearray(png.read_bytes())
    data[12:16] = b"XXXX"  # the name of the first part
    png.write_bytes(data)


@spoils("frame-size")
def frame_of_another_size(s: Set) -> None:
    assert cv2.imwrite(str(s.frame()), np.zeros((HEIGHT, WIDTH - 4, 3), np.uint8))


@spoils("frame-missing")
def frame_is_a_folder(s: Set) -> None:
    s.frame().unlink()
    s.frame().mkdir()


def fourth_bytes(values: bytes) -> bytes:
    """A BMP file of 32 bits that names no alpha, as Pillow writes RGBA."""
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[..., 3] = np.resize(np.frombuffer(values, np.uint8), (HEIGHT, WIDTH))
    return bmp(WIDTH, HEIGHT, pixels.tobytes(), 32)


# What becomes of the bytes of a BMP frame, or of its pixels as a PNG file.
FRAMES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", "frame-empty"),
    "cut off": (lambda data: data[:-40], "frame-cut-off"),
    "cut off in its head": (lambda data: data[:20], "frame-cut-off"),
    "of another format": (lambda data: b"GIF89a" + bytes(100), "frame-format"),
    "transparent BMP": (lambda data: fourth_bytes(bytes(range(256))), "frame-alpha"),
    "enormous": (lambda data: bmp(50_000, 50_000, b""), "frame-undecodable"),
}
PNG_FRAMES: dict[str, tuple[Callable[[np.ndarray], bytes], str]] = {
    "of 16 bits": (lambda rgb: png(rgb.astype(np.uint16) * 257, COLOUR, 16), "frame-depth"),
    "transparent": (lambda rgb: png(np.dstack([rgb, rgb[..., :1]]), COLOUR_ALPHA), "frame-alpha"),
    "turned": (lambda rgb: png(rgb, COLOUR, more=orientation(6)), "frame-turned"),
    "animated": (lambda rgb: png(rgb, COLOUR, more=ANIMATION), "frame-undecodable"),
}


def change_frame(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda s: s.frame().write_bytes(change(s.frame().read_bytes()))


def as_png(change: Callable[[np.ndarray], bytes]) -> Spoil:
    def spoil(s: Set) -> None:
        image = cv2.imread(str(s.frame()))
        assert image is not None
        s.frame().unlink()
        s.frame().with_suffix(".png").write_bytes(change(image[..., ::-1]))

    return spoil


for what, (change, code) in FRAMES.items():
    SPOILS.append(pytest.param(change_frame(change), {code}, id=f"frame {what}"))
for what, (redraw, code) in PNG_FRAMES.items():
    SPOILS.append(pytest.param(as_png(redraw), {code}, id=f"frame {what}"))


@spoils("file-both")
def two_suffixes(s: Set) -> None:
    assert cv2.imwrite(str(s.frame().with_suffix(".png")), cv2.imread(str(s.frame())))
