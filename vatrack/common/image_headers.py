"""BMP, PNG and JPEG files opened by Pillow: size, depth, transparency; nothing is decoded."""

from __future__ import annotations

import errno
import os
import stat
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from vatrack.common.counted import counted
from vatrack.common.errors import InputError, with_fix

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

BMP = b"BM"
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
RECOPY = "unpack or copy it again"
SHORTEN = "correct or shorten it, also in the annotations"
# More is damage, or an attack on memory: decoded it would take 300 MB.
MOST_PIXELS = 100_000_000
HEADER_BYTES = 64  # enough to know a format by
# What the data of a whole file ends with. Some cameras write data of their own behind it.
ENDS = {PNG: b"IEND\xaeB`\x82", JPEG: b"\xff\xd9"}
LONGEST_REST = 1 << 16
ANIMATED = b"\0\0\0\x08acTL"  # length and name of the chunk before the pixels of an animated PNG

# Other formats are called by their name where somebody has only changed the suffix.
FORMATS = {
    JPEG: "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"BM": "a BMP image",
    PNG: "a PNG image",
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "compressed with gzip",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}

# What the form after its size says of a RIFF file; others (AVI) are nobody's image.
RIFF = {b"WEBP": "a WebP image", b"WAVE": "a WAV sound file"}

_BITFIELDS = 3  # compression of BMP pixels
_LAYOUTS = ("BGR;16", "BGR;15", "BGRX", "BGRA")  # that OpenCV decodes as they are meant
_ORIENTATION = 0x112


class BadImage(InputError):
    """A file that is no usable image. `fault` says why, in a word: the end of a finding's code."""

    # No argument, because processes that hand an exception on make it anew from its message.
    fault = "undecodable"


def bad_image(path: Path, fault: str, text: str) -> BadImage:
    """A `BadImage` for a file."""
    error = BadImage(f"{path}: {text}")
    error.fault = fault
    return error


def unreadable(path: Path, error: OSError) -> BadImage:
    """A `BadImage` for a file that the operating system does not let us read."""
    if error.errno == errno.ENAMETOOLONG:
        text = f"its name is longer than the file system allows; {SHORTEN}"
    elif isinstance(error, PermissionError):
        text = with_fix(error, path).removeprefix(f"{path}: ")
    else:
        text = f"cannot be read ({error.strerror}); {RECOPY}"
    return bad_image(path, "unreadable", text)


@dataclass(frozen=True)
class Header:
    """What the header of an image says.

    Attributes:
        width, height: pixels.
        depth: bits of a sample that are kept: 16, or 8 for 8 and fewer.
        alpha: it has an alpha channel or a transparent colour.
        spare: its pixels have a fourth byte, of which the header says nothing (BMP).
        turned: it has an EXIF orientation that asks viewers to turn or mirror it.
    """

    width: int
    height: int
    depth: int = 8
    alpha: bool = False
    spare: bool = False
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
        raise bad_image(path, "unreadable", f"is {found}, not a file; {RECOPY}")
    return Path(path).open("rb")


def name_format(head: bytes) -> str | None:
    """What a file with these first bytes is, as the rest of a sentence; None: nobody knows."""
    for magic, name in FORMATS.items():
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF"):
        return RIFF.get(head[8:12])
    text = head.isascii() and all(byte >= 32 or byte in b"\t\n\r" for byte in head)
    return "text" if head and text else None


def read_header(path: Path) -> Header:
    """Reads the header of a BMP, PNG or JPEG file and checks that the file is whole.

    Raises:
        BadImage: it is missing, cannot be read, or as `open_image`.
    """
    try:
        with open_regular(path) as stream:
            image = open_image(path, stream)
            return Header(
                *image.size,
                depth=16 if raw_mode(image).endswith("16B") else 8,
                spare=image.format == "BMP" and raw_mode(image) == "BGRX",
                alpha=image.mode.endswith("A") or "transparency" in image.info,
                turned=_orientation(image) in range(2, 9),
            )
    except OSError as error:
        raise unreadable(path, error) from None


def has_unnamed_alpha(path: Path) -> bool:
    """Whether the `spare` bytes of a whole BMP file differ, so that they are alpha.

    Raises:
        OSError, BadImage: see `open_image`.
    """
    with open_regular(path) as stream:
        image = open_image(path, stream)
        stream.seek(image.tile[0][2])
        fourth = stream.read(4 * image.width * image.height)[3::4]
    return fourth.count(fourth[:1]) < len(fourth)


def open_image(path: Path, stream: BinaryIO) -> ImageFile:
    """Opens a BMP, PNG or JPEG image and checks that it is whole, by its end.

    Pillow and OpenCV fill the missing part of a truncated image and say nothing.

    Args:
        path: what messages call it.
        stream: its file from the start; must stay open while the image is used.

    Returns:
        The image as Pillow has it, not decoded.

    Raises:
        OSError: it cannot be read.
        BadImage: it is empty, cut off, none of the three, an animation, of an impossible or
            enormous size, or a BMP file that OpenCV would decode wrongly.
    """
    head = stream.read(HEADER_BYTES)
    size = stream.seek(0, os.SEEK_END)
    if not head:
        raise bad_image(path, "empty", f"is empty; {RECOPY}")
    kind = next((magic for magic in (BMP, PNG, JPEG) if head.startswith(magic)), None)
    if kind is None:
        found = name_format(head)
        but = f", but {found}" if found else ""
        fix = "convert it to PNG" if found and found.endswith("image") else RECOPY
        raise bad_image(path, "format", f"is not a BMP, PNG or JPEG image{but}; {fix}")
    stream.seek(0)
    image = _open(path, kind, stream)
    width, height = image.size
    if width * height > MOST_PIXELS:
        text = f"its header says {width} x {height} pixels; {RECOPY}"
        raise bad_image(path, "undecodable", text)
    if kind == BMP:
        _check_bmp(path, image, head, stream.tell(), size)
        return image
    # Not before the pixels, where an EXIF thumbnail has an end of its own.
    start = stream.tell()
    stream.seek(max(start, size - LONGEST_REST))
    rest = stream.read()
    if not image.tile or ENDS[kind] not in rest:
        if kind == PNG and image.tile and rest[-8:-4] == b"IEND":
            text = f"damaged, the checksum of its end is wrong; {RECOPY}"
            raise bad_image(path, "undecodable", text)
        raise bad_image(path, "cut-off", f"truncated, its data has no end; {RECOPY}")
    stream.seek(0)
    if kind == PNG and ANIMATED in stream.read(start):
        text = "is an animated PNG; save its frames as separate files"
        raise bad_image(path, "undecodable", text)
    return image


@cache
def _readers() -> dict[bytes, Any]:
    """Pillow's readers of the formats, set up once in a process.

    `Image.open` hides why it cannot open a file, and warns of sizes that are allowed here.
    """
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin

    # Its warnings name no file (a damaged EXIF block); `catch_warnings` is for one thread only.
    warnings.filterwarnings("ignore", module=r"PIL\.(Jpeg|Png|Tiff)ImagePlugin")
    # Texts and colour profiles of more than 1 MB: 64 MB, as for all texts of a file together.
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
    return {
        BMP: BmpImagePlugin.BmpImageFile,
        PNG: PngImagePlugin.PngImageFile,
        JPEG: JpegImagePlugin.JpegImageFile,
    }


def _open(path: Path, kind: bytes, stream: BinaryIO) -> ImageFile:
    reader = _readers()[kind]
    try:
        return reader(stream)
    except Exception as error:  # what damage raises is not documented
        if isinstance(error, OSError) and error.errno:
            raise
        if not stream.read(1):
            raise bad_image(path, "cut-off", f"truncated inside its header; {RECOPY}") from None
        text = (
            f"its header is damaged or not supported ({error!s:.80}); {RECOPY}, or save it as PNG"
        )
        raise bad_image(path, "undecodable", text) from None


def raw_mode(image: ImageFile) -> str:
    """How Pillow calls the form of the stored samples, for example "RGB;16B" or "P;4"."""
    settings: Any = image.tile[0][3]
    return settings if isinstance(settings, str) else settings[0]


def _check_bmp(path: Path, image: ImageFile, head: bytes, begin: int, size: int) -> None:
    """Checks a BMP image whose header and palette end at byte `begin`, in a file of `size` bytes.

    Raises:
        BadImage: it is cut off, or OpenCV would decode it wrongly.
    """
    whole, start = (int.from_bytes(head[at : at + 4], "little") for at in (2, 10))
    if start < begin:
        text = f"its header places the pixel data at byte {start}, inside the header; {RECOPY}"
        raise bad_image(path, "undecodable", text)
    settings: Any  # the raw mode, and of plain pixels the bytes of a row
    codec, _, _, settings = image.tile[0]
    # The header's own size may be wrong, and is believed only where nothing else tells the length.
    needed = whole if codec == "bmp_rle" else start + settings[1] * image.height
    if size < needed:
        text = f"truncated, {size} of {counted(needed, 'byte')}; {RECOPY}"
        raise bad_image(path, "cut-off", text)
    if image.info["compression"] == _BITFIELDS and settings[0] not in _LAYOUTS:
        text = "has an unsupported bit layout; save it as PNG or 24-bit BMP"
        raise bad_image(path, "undecodable", text)


def _orientation(image: ImageFile) -> Any:
    """The EXIF orientation before the pixels, 1 (as stored) to 8; 1 where there is none."""
    if "exif" not in image.info:  # `getexif` would decode the image to search behind the pixels
        return 1
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged, in ways of which none is documented
        return 1
