"""Copies the sound of a video to another one as it is."""

from __future__ import annotations

import io
import logging
import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vatrack.video.frames import RESTART
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
        start_s, zero_s: see `VideoWriter`.
    """

    def __init__(
        self, target: av.container.OutputContainer, source: Path, start_s: float, zero_s: float
    ) -> None:
        import av

        self._source: av.container.InputContainer | None = None
        self._target = target
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
        self._last: int | None = None  # dts of the last packet
        self._added = 0  # to those of the source
        self._start_s, self._begin_s = start_s, zero_s + start_s

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
            time_s = float((packet.pts or packet.dts) * packet.time_base) - self._begin_s
            if until_s is not None and time_s > until_s - self._start_s:
                self._next = packet
                return
            self._next = None
            if time_s < 0:
                continue
            shift = round(self._begin_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or packet.dts) - shift, packet.dts - shift
            packet.stream = self._stream
            self._target.mux(packet)

    def _read(self) -> av.packet.Packet[Any] | None:
        """The next packet; where times begin again, as in joined recordings, it follows the last
        one. Where they fall back by less, or two are equal, it alone is moved: times in an MP4
        file must grow."""
        packet = next(self._packets, None)
        if packet is None or packet.dts is None:
            return packet
        if self._last is not None:
            behind = self._last - packet.dts - self._added
            if behind * packet.time_base > RESTART:
                self._added += behind + (packet.duration or 1)
            # The file counts samples; several ticks of the source may be one of them.
            least = self._last + math.ceil(self._sample_s / packet.time_base)
        else:
            least = packet.dts
        self._last = max(packet.dts + self._added, least)
        if packet.pts is not None:
            packet.pts = max(packet.pts + self._added, self._last)
        packet.dts = self._last
        return packet

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
