"""Decodes a file, camera or stream: times, rotation and damage as they are in it.

The number of frames that a file claims, and its frame rate, are hints: the first is often wrong,
the second an average. What is read to its end counts, and each frame has its own time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.video.frames import DEFAULT_RATE, Properties
from vatrack.video.lengths import lacks_bytes
from vatrack.video.opening import open_container, why_not
from vatrack.video.sources import Source

if TYPE_CHECKING:
    import av.video.frame
    import av.video.stream

MOST_DAMAGED = 1000  # packets; more is noise, not a video
HDR = {16: "PQ", 18: "HLG"}  # values of the transfer characteristic


class Decoder:
    """A file, camera or stream that FFmpeg decodes."""

    def __init__(self, source: Source) -> None:
        self.container = open_container(source)
        self._decoded = 0  # frames, also those before the start
        self._jumped = False  # frames before the start were not decoded
        self._end = 0.0  # of the last packet, in seconds of the stream
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
            raise InputError(why_not(source))
        if not streams:
            sound = ", only sound" if self.container.streams.audio else ""
            raise InputError(f"{source.shown}: contains no video{sound}; give a video file")
        stream = streams[0]
        context: object = stream.codec_context  # None where the codec is unknown: PyAV would crash
        if context is None:
            raise InputError(
                f"{source.shown}: unknown frame format (damaged, or a codec that FFmpeg does not "
                "support); convert it to H.264"
            )
        stream.thread_type = "AUTO"
        return stream

    def _describe(self, source: Source) -> Properties:
        """Decodes up to the first frame, which alone tells size, rotation and colours."""
        stream, address = self.stream, source.shown
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
        elif any(component.bits > 8 for component in first.format.components):
            found.notes.append(f"{address}: only the upper 8 bits of its colours are used")
        # VP8 and VP9 keep alpha beside the frames, where FFmpeg's own decoders do not look.
        if _has_alpha(first) or stream.metadata.get("alpha_mode") == "1":
            found.notes.append(f"{address}: its alpha channel is ignored")
        return found

    def _decode(self) -> Iterator[av.video.frame.VideoFrame]:
        """Frames as they come; packets that cannot be decoded are counted."""
        import av

        self._damaged = 0
        self._broken: str | None = None  # what ended the source before its end
        packets = self.container.demux(self.stream)
        while self._damaged <= MOST_DAMAGED:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, ValueError) as error:
                self._broken = getattr(error, "strerror", None) or str(error)
                with contextlib.suppress(av.error.FFmpegError, ValueError):
                    yield from self.stream.decode(None)  # what still waits in the decoder
                return
            if packet is None:
                return
            if packet.pts is not None and packet.duration:
                end = float((packet.pts + packet.duration) * packet.time_base)
                self._end = max(self._end, end)
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except (av.error.FFmpegError, ValueError):
                self._damaged += 1
        self._broken = counted(self._damaged, "damaged packet")

    def frames(self, start_s: float) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        decoded: Iterator[av.video.frame.VideoFrame] = chain([self._first], self._frames)
        begin = self._first.time or 0.0
        if start_s > 1.0 and self.properties.form == "file":
            decoded = self._seek(begin + start_s) or decoded
        step = float(1 / self.properties.rate)
        for frame in decoded:
            self._decoded += 1
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
            self._frames, self._jumped = self._decode(), True
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
        is_file = known.form == "file"
        known.damaged = self._damaged
        # A last frame that is shown for long ends with its packet.
        end = max(self._last or 0.0, self._end - (self._first.time or 0.0))
        short = known.duration_s is not None and end + 3 / float(known.rate) < known.duration_s
        # A wrong count or a wrong duration alone is no damage. Where there is no count, or a jump
        # makes it useless, the file may say how many bytes it should have.
        if known.count_header and not self._jumped:
            missing = self._decoded < known.count_header
        else:
            missing = is_file and lacks_bytes(Path(known.source))
        known.truncated = bool(self._broken or (short and missing) or (is_file and known.damaged))
        if known.truncated:
            what = "truncated or damaged"
            if not is_file:  # a stream or camera: lost packets alone are usual
                what = f"broke off ({self._broken})" if self._broken else "broke off"
            used = counted(known.count_read, "frame")
            if known.count_header and known.count_read == self._decoded and not self._jumped:
                used = f"{known.count_read} of {counted(known.count_header, 'frame')}"
            known.notes.append(f"{known.source}: {what}; using the {used} that could be read")

    def close(self) -> None:
        self.container.close()


def _has_alpha(frame: av.video.frame.VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)
