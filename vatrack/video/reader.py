"""Decodes a source frame by frame: times, rotation and damage as they are in the file.

The number of frames that a file claims, and its frame rate, are hints: the first is often wrong,
the second an average. What is read to its end counts, and each frame has its own time.
"""

from __future__ import annotations

import contextlib
import logging
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.common.image_headers import HEADER_BYTES, name_format
from vatrack.common.images import read_image
from vatrack.video.ebml import lacks_bytes
from vatrack.video.sources import Source

if TYPE_CHECKING:
    import av.container
    import av.video.frame
    import av.video.stream

logger = logging.getLogger(__name__)

DEFAULT_RATE = Fraction(25)  # frames a second, where files or a device say nothing
# Whatever a file's own text may ask for, no other file or address is opened for it.
FILE_OPTIONS = {"protocol_whitelist": "file,crypto,data"}
# FFmpeg also "decodes" text as ANSI art and single images.
NO_VIDEO = ("tty", "image2", "_pipe")
HDR = {16: "PQ", 18: "HLG"}  # values of the transfer characteristic


@dataclass(frozen=True)
class VideoFrame:
    """One frame.

    Attributes:
        index: its number, from 0 at the first frame that is at or after the start.
        time_s: seconds since the beginning of the source.
        image: uint8 [H, W, 3] BGR, upright.
    """

    index: int
    time_s: float
    image: npt.NDArray[np.uint8]


@dataclass
class Properties:
    """What is known of a source; the counts grow while it is read.

    Attributes:
        width, height: of the upright frames, in pixels.
        rate: average frames a second.
        rotation: degrees that frames were turned by, counter-clockwise.
        count_header: frames that the file claims; None where it says nothing.
        duration_s: length in seconds that the file claims, or None.
        count_read: frames that were decoded.
        damaged: packets that could not be decoded.
        truncated: the source ended before its time, or was damaged.
    """

    source: str
    form: str
    width: int
    height: int
    rate: Fraction
    rotation: int = 0
    count_header: int | None = None
    duration_s: float | None = None
    codec: str | None = None
    pixel_format: str | None = None
    audio: bool = False
    count_read: int = 0
    damaged: int = 0
    truncated: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Selection:
    """Selection of frames.

    Attributes:
        start_s, stop_s: start and end time in seconds; None: all.
        step: every n-th frame.
    """

    start_s: float = 0.0
    stop_s: float | None = None
    step: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < float("inf"):
            raise InputError(f"the start time is {self.start_s} s; it must be 0 or more")
        if self.stop_s is not None and not self.stop_s > self.start_s:
            raise InputError(
                f"the end time, {self.stop_s} s, is not after the start time, {self.start_s} s"
            )
        if self.step < 1:
            raise InputError(f"the frame step is {self.step}; it must be 1 or more")


class Reader:
    """An open source; iterate over it once, as a context manager.

    Raises:
        InputError: the source cannot be opened, holds no video, or has no frame that is wanted.
            Damage inside is noted in `properties`, and what can be read is given.
    """

    def __init__(
        self, source: Source, selection: Selection | None = None, rate: Fraction | None = None
    ) -> None:
        self.source = source
        self.selection = selection or Selection()
        self._opened: _Files | _Decoder = (
            _Files(source, rate) if source.form == "frames" else _Decoder(source)
        )
        self.properties = self._opened.properties

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def expected(self) -> int | None:
        """About how many frames will come; None where nobody can know."""
        known = self.properties
        if self.source.live:
            return None
        if known.count_header:
            duration = known.duration_s or float(known.count_header / known.rate)
            rate = known.count_header / duration if duration > 0 else float(known.rate)
        elif known.duration_s:
            duration, rate = known.duration_s, float(known.rate)
        else:
            return None
        stop = duration if self.selection.stop_s is None else min(self.selection.stop_s, duration)
        count = max(0.0, stop - self.selection.start_s) * rate
        return max(1, round(count / self.selection.step))

    def __iter__(self) -> Iterator[VideoFrame]:
        wanted, index, given = self.selection, -1, 0
        for time_s, image in self._opened.frames(wanted.start_s):
            if time_s < wanted.start_s:
                continue
            if wanted.stop_s is not None and time_s >= wanted.stop_s:
                break
            index += 1
            self.properties.count_read += 1
            if index % wanted.step == 0:
                given += 1
                yield VideoFrame(index, time_s, image)
        else:
            self._opened.ended()
        if not given:
            where = ""
            if wanted.start_s or wanted.stop_s is not None:
                length = self.properties.duration_s
                known = f"; it lasts {length:.2f} s" if length else ""
                where = f" between start and end time{known}"
            raise InputError(f"{self.source.address}: no frames{where}")


class _Files:
    """Frames that are image files; all have the size of the first one."""

    def __init__(self, source: Source, rate: Fraction | None) -> None:
        self.files = source.files
        first = read_image(self.files[0])
        rate = rate or DEFAULT_RATE
        self.properties = Properties(
            source.address,
            source.form,
            first.shape[1],
            first.shape[0],
            rate,
            count_header=len(self.files),
            duration_s=float(len(self.files) / rate),
        )

    def frames(self, start_s: float) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        size = (self.properties.width, self.properties.height)
        for number, file in enumerate(self.files):
            time_s = float(number / self.properties.rate)
            if time_s < start_s:
                continue
            image = read_image(file)
            if image.shape[1::-1] != size:
                raise InputError(
                    f"{file}: is {image.shape[1]} x {image.shape[0]} pixels, but the first frame "
                    f"is {size[0]} x {size[1]}; all frames of a video must have the same size"
                )
            yield time_s, image

    def ended(self) -> None:
        """All files were there."""

    def close(self) -> None:
        """Nothing is open."""


class _Decoder:
    """A file, camera or stream that FFmpeg decodes."""

    def __init__(self, source: Source) -> None:
        self.container = _open(source)
        try:
            self.stream = self._choose(source)
            self.properties = self._describe(source)
        except BaseException:
            self.container.close()
            raise
        self._last: float | None = None

    def _choose(self, source: Source) -> av.video.stream.VideoStream:
        # Album art in a music file is an attached image.
        streams = [
            stream
            for stream in self.container.streams.video
            if "attached_pic" not in str(stream.disposition)
        ]
        if not self.container.streams:
            raise InputError(_why_not(source))
        if not streams:
            sound = ", only sound" if self.container.streams.audio else ""
            raise InputError(f"{source.address}: contains no video{sound}")
        stream = streams[0]
        context: object = stream.codec_context  # None where the codec is unknown: PyAV would crash
        if context is None:
            raise InputError(
                f"{source.address}: unknown frame format (damaged, or a codec that FFmpeg does not "
                "support); convert it to H.264"
            )
        stream.thread_type = "AUTO"
        return stream

    def _describe(self, source: Source) -> Properties:
        """Decodes up to the first frame, which alone tells size, rotation and colours."""
        stream, address = self.stream, source.address
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None:
            raise InputError(
                f"{address}: no frame can be decoded; the file is truncated or damaged: copy or "
                "record it again"
            )
        self._first = first
        rotation = first.rotation % 360
        width, height = first.width, first.height
        if rotation in (90, 270):
            width, height = height, width
        duration = None
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif self.container.duration:
            duration = self.container.duration / 1e6
        found = Properties(
            address,
            source.form,
            width,
            height,
            Fraction(stream.average_rate or stream.guessed_rate or DEFAULT_RATE),
            rotation,
            stream.frames or None,
            duration,
            stream.codec_context.name,
            first.format.name,
            bool(self.container.streams.audio),
        )
        if first.color_trc in HDR:
            found.notes.append(
                f"{address}: HDR colours ({HDR[first.color_trc]}) are used without tone mapping"
            )
        elif any(part.bits > 8 for part in first.format.components):
            found.notes.append(f"{address}: only the upper 8 bits of its colours are used")
        # VP8 and VP9 keep alpha beside the frames, where FFmpeg's own decoders do not look.
        if _has_alpha(first) or stream.metadata.get("alpha_mode") == "1":
            found.notes.append(f"{address}: its alpha channel is ignored")
        return found

    def _decode(self) -> Iterator[av.video.frame.VideoFrame]:
        """Frames as they come; packets that cannot be decoded are counted."""
        import av

        self._damaged = 0
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
            except av.error.EOFError:
                return
            except (av.error.FFmpegError, ValueError):
                self._damaged += 1
                if self._damaged > 1000:  # noise, not a video
                    return

    def frames(self, start_s: float) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        decoded: Iterator[av.video.frame.VideoFrame] = _chain(self._first, self._frames)
        begin = self._first.time or 0.0
        if start_s > 1.0 and self.properties.form == "file":
            decoded = self._seek(begin + start_s) or decoded
        step = float(1 / self.properties.rate)
        for frame in decoded:
            time_s = None if frame.time is None else frame.time - begin
            # Times must grow: players and evaluations take them as an order.
            if self._last is not None and (time_s is None or time_s <= self._last):
                time_s = self._last + (step if time_s is None else 1e-3)
            self._last = time_s or 0.0
            if self._last + step < start_s:
                continue
            yield self._last, self._upright(frame)

    def _seek(self, time_s: float) -> Iterator[av.video.frame.VideoFrame] | None:
        """Frames from the key frame before a time, or None where the file cannot be searched."""
        import av

        with contextlib.suppress(av.error.FFmpegError):
            self.container.seek(int(time_s * 1e6))
            self._frames = self._decode()
            return self._frames
        return None

    def _upright(self, frame: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
        image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
        if turns := round(frame.rotation / 90) % 4:
            image = np.rot90(image, turns)
        known = self.properties
        if image.shape[:2] != (known.height, known.width):
            import cv2

            if not any("size changes" in note for note in known.notes):
                known.notes.append(
                    f"{known.source}: its frame size changes to {image.shape[1]} x "
                    f"{image.shape[0]}; frames are scaled to {known.width} x {known.height}"
                )
            image = np.asarray(cv2.resize(image, (known.width, known.height)), np.uint8)
        return np.ascontiguousarray(image)

    def ended(self) -> None:
        """Compares what was read with what was claimed."""
        known = self.properties
        known.damaged = self._damaged
        if known.form != "file":
            return
        short = (
            known.duration_s is not None
            and self._last is not None
            and self._last + 3 / float(known.rate) < known.duration_s
        )
        # A wrong count alone, or a last frame that is shown for long, is no damage. Matroska and
        # WebM have no count, but say how many bytes there are.
        if known.count_header:
            missing = known.count_read < known.count_header
        else:
            missing = lacks_bytes(Path(known.source))
        known.truncated = known.damaged > 0 or (short and missing)
        if known.truncated:
            claimed = f" of {known.count_header}" if known.count_header else ""
            known.notes.append(
                f"{known.source}: truncated or damaged; using the {known.count_read}{claimed} "
                "frames that could be read"
            )

    def close(self) -> None:
        self.container.close()


def _open(source: Source) -> av.container.InputContainer:
    av = import_av()
    address, options, form = source.address, {}, None
    if source.form == "file":
        options = FILE_OPTIONS
        if Path(address).stat().st_size == 0:
            raise InputError(f"{address}: is empty; copy it again")
        # FFmpeg reads what stands before a colon as a protocol, and a dash as an option.
        address = f"file:{Path(address).absolute()}"
    elif source.form == "camera":
        form, address = _camera(source.address)
    try:
        container = av.open(address, format=form, options=options, timeout=(20.0, 20.0))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(_why_not(source, error)) from None
    name = container.format.name
    if source.form == "file" and any(text in name for text in NO_VIDEO):
        container.close()
        what = name_format(_head(source)) or "no video"
        raise InputError(f"{source.address}: is {what}, not a video")
    return container


def import_av() -> Any:
    """PyAV, with its own log lines off.

    Raises:
        InputError: it is not installed.
    """
    try:
        import av
    except ImportError:
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


def _why_not(source: Source, error: Exception | None = None) -> str:
    if source.form != "file":
        text = getattr(error, "strerror", None) or error
        return f"{source.address}: cannot be opened ({text}); check the address and the network"
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


def _has_alpha(frame: av.video.frame.VideoFrame) -> bool:
    return any(part.is_alpha for part in frame.format.components)


def _chain(
    first: av.video.frame.VideoFrame, rest: Iterator[av.video.frame.VideoFrame]
) -> Iterator[av.video.frame.VideoFrame]:
    yield first
    yield from rest
