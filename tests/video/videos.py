"""Small videos of every form, each frame marked with its number."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.http_server import Handler, http_server

SIZE = (48, 64)  # height and width
BITS = 8
BASE = Fraction(1, 90_000)


def sample_image(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A BGR frame: red top left; below, the number as eight black or white blocks."""
    image = np.full((*size, 3), 40, np.uint8)
    image[: size[0] // 3, : size[1] // 3] = (0, 0, 255)
    for bit, block in enumerate(np.array_split(np.arange(size[1]), BITS)):
        image[size[0] // 2 :, block] = 255 * (number >> bit & 1)
    return image


def number_of(image: np.ndarray) -> int:
    """The number of a frame, from its blocks."""
    blocks = np.array_split(image[image.shape[0] * 3 // 4], BITS)
    return sum((block.mean() > 127) << bit for bit, block in enumerate(blocks))


def write_video(
    path: Path,
    times: Sequence[float] | int = 12,
    *,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    form: str = "yuv420p",
    container: str | None = None,
    sound: bool | str = False,
    sound_rate: int = 8000,
    front: bool = False,
    colours: int | None = None,
    last_s: float | None = None,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """Writes a video with a frame at each time (or at 25 frames a second).

    Args:
        form: FFmpeg's pixel format; `front`: the index stands before the frames.
        sound: whether there is some, or its codec; `sound_rate`: its samples a second.
        colours: number of the transfer characteristic.
        last_s: how long the last frame is shown; None: as the others.
        options: of the encoder; `aspect`: width over height of a pixel.
    """
    if isinstance(times, int):
        times = [number / 25 for number in range(times)]
    flags = {"movflags": "faststart"} if front else {}
    with av.open(str(path), "w", format=container, options=flags) as out:
        stream: Any = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, form
        stream.options = options or ({"g": "10", "bf": "0"} if codec == "libx264" else {})
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if colours is not None:
            stream.codec_context.color_trc = colours
        base = Fraction(1, 25) if container == "avi" or "mpeg" in codec or codec == "flv" else BASE
        stream.codec_context.time_base = base
        heard: Any = None
        if sound:
            heard = out.add_stream("aac" if sound is True else sound, rate=sound_rate)
            heard.layout = "mono"
        for number, time_s in enumerate(times):
            image = sample_image(number, size)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=form)
            frame.pts, frame.time_base = round(time_s / base), base
            out.mux(stream.encode(frame))
        rest = stream.encode()
        if last_s is not None:
            last = max(rest, key=lambda packet: packet.pts)
            last.duration = round(last_s / last.time_base)
        out.mux(rest)
        if heard:
            samples = np.sin(np.arange(int(sound_rate * (times[-1] + 0.04))) / 3)
            tone = (samples * 9000).astype(np.int16)[None]
            wave = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            wave.sample_rate, wave.pts, wave.time_base = sound_rate, 0, Fraction(1, sound_rate)
            out.mux(heard.encode(wave))
            out.mux(heard.encode())
    return path


def write_sound(path: Path) -> Path:
    """A file that holds sound alone."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("aac", rate=8000)
        stream.layout = "mono"
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        wave.sample_rate, wave.pts = 8000, 0
        out.mux(stream.encode(wave))
        out.mux(stream.encode())
    return path


def turn(path: Path, degrees: int) -> None:
    """Sets the rotation flag of an MP4 file: players turn it clockwise by 0, 90, 180 or 270."""
    matrix = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    set_matrix(path, *matrix)


def set_matrix(path: Path, *values: float) -> None:
    """Sets what players do to the frames of an MP4 file: a point x, y is shown at ax + cy, bx + dy.

    Args:
        values: a, b, c, d.
    """
    a, b, c, d = (round(65536 * value) for value in values)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@contextmanager
def served(data: bytes, sent: int | None = None) -> Iterator[str]:
    """The address of a server that sends these bytes, or only some of those that it announces."""

    class Video(Handler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:sent])

    with http_server(Video) as address:
        yield f"{address}/v"
