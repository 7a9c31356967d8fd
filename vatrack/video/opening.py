"""Opens a file, camera or stream by PyAV, or says why it cannot be opened."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vatrack.common.errors import InputError
from vatrack.common.extras import is_missing
from vatrack.common.image_headers import HEADER_BYTES, name_format
from vatrack.video.sources import Source

if TYPE_CHECKING:
    import av.container

# Whatever a file's own text may ask for, no other file or address is opened for it.
FILE_OPTIONS = {"protocol_whitelist": "file,crypto,data"}
PATIENCE = 20.0  # seconds without an answer, or without data
# FFmpeg also "decodes" text as ANSI art and single images.
NO_VIDEO = ("tty", "image2", "_pipe")


def open_container(source: Source) -> av.container.InputContainer:
    """The open container of a source.

    Raises:
        InputError: it cannot be opened, or is no video.
    """
    av = import_av()
    address, options, form = source.address, {}, None
    if source.form == "file":
        options = FILE_OPTIONS
        _check_file(address)
        # FFmpeg reads what stands before a colon as a protocol, and a dash as an option.
        address = f"file:{Path(address).absolute()}"
    elif source.form == "camera":
        form, address = _camera(source.address)
    try:
        # Not `options`: PyAV frees them for more streams than it made them for where some are
        # found late (FLV, MPEG program streams), and the process crashes.
        container = av.open(
            address, format=form, container_options=options, timeout=(PATIENCE, PATIENCE)
        )
    except av.error.ExitError:  # PyAV's timer
        raise InputError(
            f"{source.shown}: no data for {PATIENCE:.0f} s; check the address and the network"
        ) from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(why_not(source, error)) from None
    name = container.format.name
    if source.form == "file" and any(text in name for text in NO_VIDEO):
        container.close()
        what = name_format(_head(source)) or "an image or text"
        raise InputError(f"{source.address}: is {what}, not a video; give a video")
    return container


def _check_file(address: str) -> None:
    """Refuses what FFmpeg would wait for, or read without an end."""
    path = Path(address)
    if not path.is_file():
        number = re.fullmatch(r"/dev/video(\d+)", address)
        fix = f"give the camera's number, {number[1]}" if number else "save its content to a file"
        raise InputError(f"{address}: is a pipe or a device, not a video file; {fix}")
    if path.stat().st_size == 0:
        raise InputError(f"{address}: is empty; copy it again")


def import_av() -> Any:
    """PyAV, with its own log lines off.

    Raises:
        InputError: it is not installed, or broken.
    """
    try:
        import av
    except ImportError as error:
        if not is_missing("av", error):
            raise InputError(
                f"reading and writing videos needs PyAV, which cannot be imported ({error}); "
                "repair it with `pip install --force-reinstall av`, or use a folder of frames"
            ) from error
        raise InputError(
            "reading and writing videos needs PyAV; install it with `pip install "
            '"vatrack[video]"`, or use a folder of frames'
        ) from None
    av.logging.set_level(None)
    return av


def _camera(number: str) -> tuple[str, str]:
    """Format and address of a camera, for FFmpeg."""
    system = platform.system()
    if system == "Darwin":
        return "avfoundation", number
    if system == "Windows":
        return "dshow", f"video={number}"
    device = f"/dev/video{number}"
    if not Path(device).exists():
        raise InputError(f"camera {number}: no {device}; give a file, or another camera")
    return "v4l2", device


def why_not(source: Source, error: Exception | None = None) -> str:
    """Why a source cannot be read, and what to do, for messages."""
    if source.form != "file":
        text = getattr(error, "strerror", None) or str(error).replace(source.address, source.shown)
        return f"{source.shown}: cannot be opened ({text}); check the address and the network"
    head = _head(source)
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free"):
        return (
            f"{source.address}: has no index (its moov atom is missing or damaged), as after an "
            "interrupted recording or copy; copy it again, or repair it"
        )
    what = name_format(head)
    return f"{source.address}: is {what or 'not a readable video'}; give a video file"


def _head(source: Source) -> bytes:
    with Path(source.address).open("rb") as stream:
        return stream.read(HEADER_BYTES)
