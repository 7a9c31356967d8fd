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
from vatrack.video.frames import DEFAULT_RATE, Properties, begins_again, comparable
from vatrack.video.lengths import lacks_bytes
from vatrack.video.opening import open_container, why_not
from vatrack.video.picture import orientation, unused
from vatrack.video.sources import Source

if TYPE_CHECKING:
    import av.video.frame
    import av.video.stream

OUT_OF_ORDER = 3  # frames by which times may fall back in one recording
MOST_DAMAGED = 1000  # packets; more is noise, not a video
SEARCH_BACK = (0.0, 1.0, 5.0, 30.0)  # seconds before a time from which its key frame is looked for
UNSEARCHABLE = ("mpeg",)  # FFmpeg's names of forms in which frames have other times after a jump


class Decoder:
    """A file, camera or stream that FFmpeg decodes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.container = open_container(source)
        self._decoded = 0  # frames, also those before the start
        self._orientations: dict[int, tuple[int, bool]] = {}  # by FFmpeg's angle
        self._jumped = False  # frames before the start were not decoded
        self._end = 0.0  # of the last packet, in seconds of the stream
        try:
            self.stream = self._choose(source)
            self._frames = self._decode()
            self.properties = self._describe(source)
        except BaseException:
            self.container.close()
            raise
        self._last: float | None = None

    def _videos(self) -> list[av.video.stream.VideoStream]:
        # Album art in a music file is an attached image.
        return [
            stream
            for stream in self.container.streams.video
            if "attached_pic" not in str(stream.disposition)
        ]

    def _choose(self, source: Source) -> av.video.stream.VideoStream:
        streams = self._videos()
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
        first = next(self._frames, None)
        if first is None:
            raise InputError(
                f"{address}: no frame can be decoded; the file is truncated or damaged: copy or "
                "record it again"
            )
        self._first = first
        turns, mirrored = self._orientation(first)
        width, height = first.width, first.height
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        if turns % 2:
            width, height, aspect = height, width, 1 / aspect
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
            rotation=90 * turns,
            mirrored=mirrored,
            pixel_aspect=aspect,
            parts=[(0.0, first.time or 0.0)],
            count_header=stream.frames or None,
            duration_s=duration,
            codec=stream.codec.canonical_name,
            pixel_format=first.format.name,
            audio=bool(self.container.streams.audio),
        )
        found.notes += unused(first, stream, aspect, address)
        if (count := len(self._videos())) > 1:
            found.notes.append(f"{address}: has {count} video streams; only the first is used")
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
        parts = self.properties.parts
        ((first_s, begin),) = parts
        if start_s > 1.0 and self.properties.form == "file":
            decoded = self._seek(begin + start_s, begin)
        step = float(1 / self.properties.rate)
        for frame in decoded:
            self._decoded += 1
            time_s = None if frame.time is None else comparable(frame.time - begin)
            last_s = self._last
            if last_s is not None and time_s is None:
                time_s = last_s + step
            elif last_s is not None and begins_again(time_s, last_s, first_s, OUT_OF_ORDER * step):
                self._note_restart()
                begin += time_s - (last_s + step)
                first_s = time_s = last_s + step
                parts.append((first_s, first_s + begin))
            elif last_s is not None and time_s <= last_s:
                # Times must grow: players and evaluations take them as an order.
                time_s = last_s + 1e-3
            self._last = time_s or 0.0
            if self._last + step < start_s:
                continue
            yield self._last, self._upright(frame)

    def _note_restart(self) -> None:
        self._orientations.clear()  # the other recording may have another one
        known = self.properties
        if not any("times begin again" in note for note in known.notes):
            known.notes.append(
                f"{known.source}: its times begin again after {self._last:.2f} s, as in joined "
                "recordings; later frames follow there"
            )

    def _seek(self, time_s: float, begin: float) -> Iterator[av.video.frame.VideoFrame]:
        """Frames from a key frame before a time on; all where none is found.

        Many forms lead to a place behind the one that is wanted, or know no times.
        """
        import av

        searchable = self.container.format.name not in UNSEARCHABLE and not self._is_joined()
        steps = SEARCH_BACK if searchable else ()
        for target in (time_s - back for back in steps if time_s - back > begin):
            try:
                self.container.seek(int(target * 1e6))
            except av.error.FFmpegError:
                break
            self._frames = self._decode()
            for frame in self._frames:
                if frame.time is None or frame.time > time_s:
                    break
                if frame.key_frame:  # those before it may lack what they are made from
                    self._jumped = True
                    return chain([frame], self._frames)
        self.container.close()
        self.container = open_container(self._source)
        self.stream = self._choose(self._source)
        self._frames = self._decode()
        return self._frames

    def _is_joined(self) -> bool:
        """Whether a transport stream is of joined recordings: a jump may lead to any of them."""
        import av

        if self.container.format.name != "mpegts":
            return False
        first_s = last_s = None
        step = float(1 / self.properties.rate)
        with open_container(self._source) as whole, contextlib.suppress(av.error.FFmpegError):
            for packet in whole.demux(whole.streams[self.stream.index]):
                if packet.dts is None:
                    continue
                time_s = float(packet.dts * packet.time_base)
                if first_s is None or last_s is None:
                    first_s = last_s = time_s
                if begins_again(time_s, last_s, first_s, OUT_OF_ORDER * step):
                    return True
                last_s = max(last_s, time_s)
        return False

    def _orientation(self, frame: av.video.frame.VideoFrame) -> tuple[int, bool]:
        """`orientation` of a frame, looked up once for each angle: a frame whose side data were
        looked at refers to itself, and stays in memory until Python searches for such."""
        angle = round(frame.rotation)
        if angle not in self._orientations:
            self._orientations[angle] = orientation(frame)
        return self._orientations[angle]

    def _upright(self, frame: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
        image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
        turns, mirrored = self._orientation(frame)
        image = np.rot90(image[:, ::-1] if mirrored else image, turns)
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

    def ended(self, whole: bool) -> None:
        """Compares what was read with what was claimed.

        Args:
            whole: it was read to its end, not only up to the stop time.
        """
        known = self.properties
        is_file = known.form == "file"
        known.damaged = self._damaged
        # A last frame that is shown for long ends with its packet.
        end = max(self._last or 0.0, self._end - known.parts[0][1])
        short = known.duration_s is not None and end + 3 / float(known.rate) < known.duration_s
        # A wrong count or a wrong duration alone is no damage. Where there is no count, or a jump
        # makes it useless, the file may say how many bytes it should have.
        if known.count_header and not self._jumped:
            missing = self._decoded < known.count_header
        else:
            missing = is_file and lacks_bytes(Path(known.source))
        missing = missing and short and whole
        known.truncated = bool(self._broken or missing or (is_file and known.damaged))
        if known.truncated:
            what = "truncated or damaged"
            if not is_file:  # a stream or camera: lost packets alone are usual
                what = f"broke off ({self._broken})" if self._broken else "broke off"
            used = counted(known.count_read, "frame")
            everything = whole and known.count_read == self._decoded and not self._jumped
            if known.count_header and everything:
                used = f"{known.count_read} of {counted(known.count_header, 'frame')}"
            known.notes.append(f"{known.source}: {what}; using the {used} that could be read")

    def close(self) -> None:
        self.container.close()
