"""Videos of clips: each frame is rows of tiles, which show it with other objects drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.images import ImageArray
from vatrack.reporting.drawing import Colour
from vatrack.reporting.layers import FrameList, Layer, draw_side
from vatrack.reporting.sheet import centred, grid
from vatrack.video.writer import VideoWriter

SLOWEST, FASTEST = 0.001, 240  # frames a second


def check_rate(rate: float) -> None:
    """Refuses what is not a frame rate.

    Raises:
        InputError: it is not from `SLOWEST` to `FASTEST` frames a second.
    """
    if not SLOWEST <= rate <= FASTEST:
        raise InputError(
            f"--fps {rate}: not a frame rate; must be from {SLOWEST} to {FASTEST} per second"
        )


def draw_tiles(
    listed: FrameList,
    row: int,
    sides: Sequence[tuple[Sequence[Layer], Mapping[int, int] | None]],
    size: tuple[int, int],
    paper: Colour,
) -> list[ImageArray]:
    """A tile for each side, with the frame in its middle.

    Args:
        row: of the frame in `listed`.
        sides: objects and their owners, as for `draw_side`.
        size: height and width of a tile, pixels.
        paper: colour around frames of another shape.
    """
    frame = listed.frame(row)
    return [
        centred(draw_side(frame, row, listed.images, layers, owners, size), size, paper)
        for layers, owners in sides
    ]


def write_video(
    path: Path,
    size: tuple[int, int],
    frames: Iterable[Sequence[Sequence[ImageArray]]],
    rate: float,
) -> int:
    """Writes an MP4 file, whole or not at all, and returns how many frames it has.

    Args:
        size: height and width of the video, pixels.
        frames: each as rows of tiles, uint8 [h, w, 3] BGR.
        rate: frames a second.
    """
    exact = Fraction(rate).limit_denominator(round(1 / SLOWEST))
    with VideoWriter(path, size, exact) as writer:
        for number, rows in enumerate(frames):
            writer.write(grid(rows), float(number / exact))
    return writer.frames
