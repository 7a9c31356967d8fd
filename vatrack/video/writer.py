"""Encodes frames to an MP4 file that browsers play: H.264, yuv420p, its index in front."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.video.opening import import_av
from vatrack.video.sound import SoundCopy

if TYPE_CHECKING:
    import av.container
    import av.packet
    import av.video.stream

logger = logging.getLogger(__name__)

Encoder = Literal["openh264", "x264", "vp9"]
# What FFmpeg calls them. OpenH264 and libvpx are under BSD licences; x264 is under the GPL.
_ENCODERS: dict[Encoder, str] = {"openh264": "libopenh264", "x264": "libx264", "vp9": "libvpx-vp9"}
_SETTINGS: dict[Encoder, dict[str, str]] = {
    "openh264": {"allow_skip_frames": "0"},
    "x264": {"crf": "20", "preset": "veryfast"},
    "vp9": {"deadline": "realtime", "cpu-used": "6", "crf": "30", "b": "0"},
}
BITS_PER_PIXEL = 0.15  # for OpenH264, which has no constant quality
LEAST_BITS = 1_000_000  # a second
TIME_BASE = Fraction(1, 90_000)  # seconds; all usual frame rates are whole numbers of it
LEAST_SIDE = 16  # pixels that the encoders take
_BT709, _LIMITED = 1, 1  # numbers of FFmpeg for the colours of HD video


class VideoWriter:
    """Writes frames with their own times; as a context manager it leaves a whole file or none.

    After KeyboardInterrupt or SystemExit inside it, what was written so far becomes the file: it
    is playable.

    Args:
        path: ends in .mp4.
        size: height and width of the frames, in pixels. Odd sides are padded by one pixel, since
            yuv420p has none; frames are never resized.
        rate: frames a second, for the encoder's sake: the times of the frames count.
        encoder: see `_ENCODERS`; where it is not there or refuses the size, VP9 is used.
        sound: a video whose sound track is copied, or None.
        start_s: time of the source at which the file begins.
        parts: of the source, see `Properties`; further ones come before their frames are written.
        pixel_aspect: width over height of a pixel, for players.
        shown: what messages call the file; None: its path.

    Attributes:
        frames: written so far.
        encoder: which one is used.
        sound_stop_s: time of the source at which the sound ends; None: with the source.

    Raises:
        InputError: no encoder is there, or the disk is full.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction,
        *,
        encoder: Encoder = "openh264",
        sound: Path | None = None,
        start_s: float = 0.0,
        parts: Sequence[tuple[float, float]] = ((0.0, 0.0),),
        pixel_aspect: Fraction = Fraction(1),
        shown: str | None = None,
    ) -> None:
        import_av()
        self._shown = shown or str(path)
        self.path, self.size, self.frames, self._start_s = path, size, 0, start_s
        self._pixel_aspect, self._last = pixel_aspect, -1
        self.sound_stop_s: float | None = None
        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(_unless_cancelled(path))
        try:
            self.encoder, self._container, self._stream = self._open(rate, encoder)
            self._stack.callback(self._container.close)
            self._sound = SoundCopy(self._container, sound, start_s, parts) if sound else None
            if self._sound:
                self._stack.callback(self._sound.close)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise

    def _open(
        self, rate: Fraction, wanted: Encoder
    ) -> tuple[Encoder, av.container.OutputContainer, av.video.stream.VideoStream]:
        import av

        problem: Exception | None = None
        for encoder in dict.fromkeys((wanted, "vp9")):
            container = av.open(
                str(self._temporary), "w", format="mp4", options={"movflags": "faststart"}
            )
            try:
                stream = self._add_stream(container, encoder, rate)
                stream.codec_context.open()
            except (av.error.FFmpegError, ValueError) as error:
                container.close()
                problem = error
                continue
            if encoder != wanted:
                logger.warning(
                    "%s: the encoder %s is missing or does not support %s x %s pixels; using VP9",
                    self._shown, wanted, self.size[1], self.size[0],
                )  # fmt: skip
            return encoder, container, stream
        raise InputError(
            f"{self._shown}: no encoder can write it ({problem}); choose another --encoder"
        )

    def _add_stream(
        self, container: av.container.OutputContainer, encoder: Encoder, rate: Fraction
    ) -> av.video.stream.VideoStream:
        # A rate beyond any display is a container's time base that was taken for one.
        rate = min(max(rate, Fraction(1)), Fraction(240)).limit_denominator(1001)
        stream: Any = container.add_stream(
            _ENCODERS[encoder], rate=rate, options=_SETTINGS[encoder]
        )
        stream.height, stream.width = (max(LEAST_SIDE, side + side % 2) for side in self.size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = TIME_BASE
        # Players guess the colours of a file that does not say them, each its own way.
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        context.sample_aspect_ratio = self._pixel_aspect
        if encoder == "openh264":
            pixels = stream.height * stream.width * float(rate)
            stream.bit_rate = max(LEAST_BITS, int(pixels * BITS_PER_PIXEL))
        return stream

    def write(self, image: npt.NDArray[np.uint8], time_s: float) -> None:
        """Adds a frame.

        Args:
            image: uint8 [H, W, 3] BGR.
            time_s: when it is shown, in seconds of the source; later than the one before.
        """
        import av

        height, width = image.shape[:2]
        more = ((0, self._stream.height - height), (0, self._stream.width - width), (0, 0))
        padded = np.pad(image, more, mode="edge") if any(map(any, more)) else image
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="bgr24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        # Times that are nearer to each other than the file can tell must grow, too.
        self._last = max(self._last + 1, round((time_s - self._start_s) / TIME_BASE))
        frame.pts, frame.time_base = self._last, TIME_BASE
        for packet in self._stream.encode(frame):
            self._mux(packet)
        if self._sound:
            self._sound.copy(until_s=time_s)
        self.frames += 1

    def _mux(self, packet: av.packet.Packet[Any]) -> None:
        self._container.mux(packet)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cancelled = isinstance(error, KeyboardInterrupt | SystemExit)
        if error is None or (cancelled and self.frames):
            try:
                for packet in self._stream.encode():
                    self._mux(packet)
                if self._sound and not cancelled:
                    self._sound.copy(until_s=self.sound_stop_s)
            except BaseException as late:
                self._stack.__exit__(type(late), late, late.__traceback__)
                raise
            self._stack.close()
        else:
            self._stack.__exit__(kind, error, trace)


@contextmanager
def _unless_cancelled(path: Path) -> Iterator[Path]:
    """`atomic_path` with FFmpeg's errors as those of the operating system, which they are."""
    import av

    with atomic_path(path) as temporary:
        try:
            yield temporary
        except av.error.FFmpegError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
