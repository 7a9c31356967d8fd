"""A video of a few clips: ground truth on the left, predictions on the right, found objects in the
same colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import require_ending
from vatrack.common.scores import check_score
from vatrack.data.known_forms import JOINT, wants
from vatrack.reporting.drawing import ImageArray, put_text
from vatrack.reporting.layers import (
    FrameList,
    Layer,
    choose_clips,
    draw_side,
    find_owners,
    read_layers,
)
from vatrack.reporting.sheet import centre
from vatrack.video.writer import VideoWriter

CELL = (400, 640)  # largest height and width of a side, pixels
BAR = 30  # pixels of the line above
PAPER, INK = (250, 250, 250), (30, 30, 30)


@dataclass(frozen=True)
class OverlayVideo:
    """What `write_overlay_video` wrote."""

    file: Path
    clips: int
    frames: int

    def __str__(self) -> str:
        return f"{self.file}: {counted(self.frames, 'frame')} of {counted(self.clips, 'clip')}"


def check_video(out: Path, rate: float) -> None:
    """Looks at what is asked for, before anything is written.

    Raises:
        InputError: the video is no MP4 file, or the rate is none.
    """
    require_ending(out, "the video is an MP4 file", ".mp4")
    check_rate(rate)


def check_rate(rate: float) -> None:
    """Refuses what is not a frame rate.

    Raises:
        InputError: it is not above 0 and at most 240 frames a second.
    """
    if not 0 < rate <= 240:
        raise InputError(
            f"--fps {rate}: not a frame rate; must be above 0 and at most 240 per second"
        )


@wants(ground_truth=JOINT)
def write_overlay_video(
    ground_truth: Path,
    predictions: Path,
    images: Path,
    out: Path,
    *,
    score: float,
    clips: int,
    rate: float = 8.0,
) -> OverlayVideo:
    """Draws an MP4 of the clips that the contact sheet shows, one after the other.

    Args:
        ground_truth, predictions, images, score, clips: as for `write_contact_sheet`.
        rate: frames a second.

    Raises:
        InputError: a file is missing or not in its form.
    """
    check_video(out, rate)
    check_score(score)
    listed = FrameList.read(ground_truth, images)
    truth, found = read_layers(listed, predictions, score)
    chosen = choose_clips(listed.images, truth, clips)
    count = 0
    exact = Fraction(rate).limit_denominator(1000)
    with VideoWriter(out, (CELL[0] + BAR, 2 * CELL[1]), exact) as writer:
        for video in chosen:
            rows = listed.images.rows_of(video)
            owners = find_owners(rows, listed.images, truth, found)
            for row in rows.tolist():
                title = f"{listed.titles[video]}   frame {int(listed.images.position[row])}"
                drawn = _compose(row, listed, truth, found, owners, title, score)
                writer.write(drawn, float(count / exact))
                count += 1
    return OverlayVideo(out, len(chosen), count)


def _compose(
    row: int,
    listed: FrameList,
    truth: Sequence[Layer],
    found: Sequence[Layer],
    owners: Mapping[int, int],
    title: str,
    score: float,
) -> ImageArray:
    canvas = np.full((CELL[0] + BAR, 2 * CELL[1], 3), PAPER, np.uint8)
    frame = listed.frame(row)
    sides = (
        (f"Ground truth   {title}", truth, None),
        (f"Prediction   score {score:g} or more", found, owners),
    )
    for number, (text, layers, tracks) in enumerate(sides):
        put_text(canvas, text, (8 + number * CELL[1], 6), 15, INK)
        scaled = draw_side(frame, row, listed.images, layers, tracks, CELL)
        centre(canvas[BAR:, number * CELL[1] : (number + 1) * CELL[1]], scaled)
    return canvas
