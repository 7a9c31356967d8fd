"""Copies the sound of a video to another one as it is."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vatrack.video.frames import begins_again, comparable
from vatrack.video.opening import FILE_OPTIONS

if TYPE_CHECKING:
    import av.audio.stream
    import av.container
    import av.packet

logger = logging.getLogger(__name__)

# Forms in an MP4 file that players know; FFmpeg writes more.
SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "alac", "flac")


class SoundCopy:
    """Copies the sound of another file packet by packet, as far as the frames have come.

    Args:
        start_s: time of the frames at which the sound begins.
        parts: see `Properties`; further ones come with the frames.
    """

    def __init__(
        self,
        target: av.container.OutputContainer,
        source: Path,
        start_s: float,
        parts: Sequence[tuple[float, float]],
    ) -> None:
        import av

        self._source: av.container.InputContainer | None = None
        self._target, self._start_s, self._parts = target, start_s, parts
        container = av.open(f"file:{source.absolute()}", container_options=FILE_OPTIONS)
        found = container.streams.audio
        if not found or not _fits(found[0], source):
            container.close()
            return
        self._stream = target.add_stream_from_template(found[0])
        self._source = container
        self._packets = container.demux(found[0])
        self._next: av.packet.Packet[Any] | None = None
        self._sample_s = Fraction(1, found[0].codec_context.sample_rate or 1000)
        self._part = 0  # of the packets that are read
        self._first_s, self._last_s = 0.0, -math.inf  # time stamps in it
        self._time_s = 0.0  # of the last packet that was copied, in the time of the frames
        self._last: int | None = None  # its dts in the copy

    def copy(self, until_s: float | None) -> None:
        """Copies packets up to a time of the frames; None: all."""
        import av

        while self._source is not None:
            try:
                packet = self._next or self._read()
            except av.error.FFmpegError:  # the same damage that the frames end with
                packet = None
            if packet is None or packet.dts is None:
                self._source.close()
                self._source = None
                return
            self._next = packet
            stamp_s = float((packet.pts or packet.dts) * packet.time_base)
            if self._part >= len(self._parts):  # its frames have not come so far
                if until_s is not None:
                    return
                self._parts = [*self._parts, (self._time_s, stamp_s)]
            begin_s, zero_s = self._parts[self._part]
            time_s = comparable(stamp_s - zero_s + begin_s)
            if until_s is not None and time_s > until_s:
                return
            self._next = None
            following = self._parts[self._part + 1 :]
            if max(begin_s, self._start_s) <= time_s < (following[0][0] if following else math.inf):
                self._write(packet, zero_s - begin_s + self._start_s)
                self._time_s = time_s

    def _read(self) -> av.packet.Packet[Any] | None:
        """The next packet, which may be the first of another recording."""
        packet = next(self._packets, None)
        if packet is None or packet.dts is None:
            return packet
        stamp_s = float(packet.dts * packet.time_base)
        if self._last_s == -math.inf:
            self._first_s = stamp_s
        length_s = float((packet.duration or 0) * packet.time_base)
        if begins_again(stamp_s, self._last_s, self._first_s, length_s):
            self._part += 1
            self._first_s = self._last_s = stamp_s
        self._last_s = max(self._last_s, stamp_s)
        return packet

    def _write(self, packet: Any, shift_s: float) -> None:
        """Times in an MP4 file must grow, by a sample at least: of two packets with the same time
        one is moved, but nothing that follows."""
        shift = round(shift_s / packet.time_base)
        dts = packet.dts - shift
        if self._last is not None:
            dts = max(dts, self._last + math.ceil(self._sample_s / packet.time_base))
        self._last = dts
        packet.pts, packet.dts = max((packet.pts or packet.dts) - shift, dts), dts
        packet.stream = self._stream
        self._target.mux(packet)

    def close(self) -> None:
        """Closes the file that the sound comes from."""
        if self._source is not None:
            self._source.close()


def _fits(stream: av.audio.stream.AudioStream, source: Path) -> bool:
    """Whether an MP4 file takes such sound; a warning says if not."""
    import av

    context: Any = stream.codec_context  # None: unknown
    # Not the name of the decoder, which is mp3float for mp3.
    name = context.codec.canonical_name if context else "of an unknown format"
    fits = name in SOUND
    if fits:
        try:  # some rates are refused, but not before the header is written
            with av.open(io.BytesIO(), "w", format="mp4") as trial:
                trial.add_stream_from_template(stream)
                trial.start_encoding()
        except (av.error.FFmpegError, ValueError):
            fits = False
    if not fits:
        logger.warning(
            "%s: its sound (%s) cannot be stored in an MP4 file; the overlay has none", source, name
        )
    return fits
