"""Ground truth beside predictions for a few clips: a contact sheet of a few frames, and a video."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.arguments import check_score
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import require_ending
from vatrack.common.images import ImageArray
from vatrack.data.known_forms import JOINT, wants
from vatrack.reporting.clip_video import check_rate, draw_tiles, write_video
from vatrack.reporting.drawing import put_text, text_mask
from vatrack.reporting.layers import (
    FrameList,
    Layer,
    choose_clips,
    draw_side,
    find_owners,
    read_layers,
)
from vatrack.reporting.sheet import FAINT, INK, PAPER, Text, evenly, grid, pad, save_image, tile

FRAMES = 4  # columns: frames of a clip
CELL_WIDTH = 480  # pixels; smaller frames are enlarged, so that labels leave room for the objects
LABEL_SIZE = 14  # pixels
MARGIN, GAP = 142, 6  # pixels: the column of the row titles; the space between images
VIDEO_TILE = (400, 640)  # largest height and width of a side of the video, pixels
VIDEO_TITLE = 30  # pixels of the line above a side
VIDEO_PAPER = (250, 250, 250)
LEGEND = (
    "Label: class #track, score.  Colours show track numbers; ground truth and predictions "
    "are numbered separately."
)


@dataclass(frozen=True)
class Overlay:
    """What `write_overlay` wrote: a sheet of so many clips of all, each with so many rows of
    images, and a video of them with so many frames, where it was asked for."""

    sheet: Path
    clips: int
    of_clips: int
    rows: int
    score: float
    video: Path | None
    frames: int

    def __str__(self) -> str:
        text = (
            f"{self.sheet}: {self.clips} of {counted(self.of_clips, 'clip')}, "
            f"{counted(self.rows, 'row')} each; predictions with a score of {self.score:g} or more"
        )
        if self.video:
            clips = counted(self.clips, "clip")
            text += f"\n{self.video}: {counted(self.frames, 'frame')} of {clips}"
        return text


@wants(ground_truth=JOINT)
def write_overlay(
    ground_truth: Path,
    predictions: Path,
    images: Path,
    out: Path,
    *,
    score: float,
    clips: int,
    video: Path | None = None,
    rate: float = 8.0,
) -> Overlay:
    """Draws a PNG: for a few clips, four frames as columns, masks of both sides as rows.

    Mask types that the predictions do not have are left out. The video has all frames of these
    clips, one clip after the other: ground truth on the left and predictions on the right, found
    objects in the same colour.

    Args:
        ground_truth: frame-level JSON in the joint form (design contract 3, spec 1.5).
        predictions: JSON Lines or a JSON array (contract 2).
        images: the folder that the file names of the ground truth are relative to.
        out: the PNG file.
        score: predictions below it are not drawn; 0 to 1.
        clips: how many clips are drawn, evenly chosen among those with objects.
        video: the MP4 file; None: no video. `rate`: its frames a second.

    Raises:
        InputError: a file is missing or not in its form, the number of clips is below 1, the score
            is not from 0 to 1, or the rate is none.
    """
    out = Path(out)
    require_ending(out, "the contact sheet is a PNG image", ".png")
    if video:
        require_ending(video, "the video is an MP4 file", ".mp4")
        check_rate(rate)
    if clips < 1:
        raise InputError(f"--clips {clips}: nothing to draw; must be 1 or more")
    check_score(score)
    listed = FrameList.read(ground_truth, images)
    truth, found = read_layers(listed, predictions, score)
    note = f"no prediction with a score of {score:g} or more"
    rows = []
    for true, own in zip(truth, found, strict=True):
        rows += [("Ground truth", true, "no object"), ("Prediction", own, note)]
    blocks = []
    chosen = choose_clips(listed.images, truth, clips)
    for clip in chosen:
        of_clip = listed.images.rows_of(clip)
        columns = of_clip[evenly(len(of_clip), FRAMES)].tolist()
        title = f"{listed.titles[clip]}   ({counted(len(of_clip), 'frame')})"
        blocks.append(_draw_clip(title, columns, listed, rows))
    legend = f"{LEGEND}  Predictions with a score of {score:g} or more."
    top = tile(34, blocks[0].shape[1], Text(legend, MARGIN, 8, 15))
    save_image(grid([[top], *([pad(block, 14, 0)] for block in blocks)]), out)
    of_clips, frames = len(listed.images.frames), 0
    if video:
        size = VIDEO_TITLE + VIDEO_TILE[0], 2 * VIDEO_TILE[1]
        drawn = _draw_frames(chosen, listed, truth, found, score)
        frames = write_video(video, size, drawn, rate)
    return Overlay(out, len(chosen), of_clips, len(rows), score, video, frames)


def _draw_clip(
    title: str, columns: Sequence[int], listed: FrameList, rows: Sequence[tuple[str, Layer, str]]
) -> ImageArray:
    """One clip: a title line, frame numbers, then rows of the images `columns` of `listed`; `rows`
    has title and objects of each, and what an image without objects says."""
    heads = [f"frame {listed.images.position[n]}  ({listed.file(n).name})" for n in columns]
    frames = [listed.frame(n) for n in columns]
    cells = [
        [tile(23, MARGIN), *(tile(23, CELL_WIDTH + GAP, Text(head, 0, 0, 15)) for head in heads)]
    ]
    for name, layer, note in rows:
        texts = Text(name, 8, 4, 16, INK, bold=True), Text(layer.mask_type, 8, 28, 16, INK)
        images = [
            pad(_draw_cell(frame, n, layer, listed, note), GAP, GAP)
            for frame, n in zip(frames, columns, strict=True)
        ]
        cells.append([tile(52, MARGIN, *texts), *images])
    width = MARGIN + FRAMES * (CELL_WIDTH + GAP)
    return grid([[tile(35, width, Text(title, MARGIN, 4, 20, INK, bold=True))], [grid(cells)]])


def _draw_cell(
    frame: ImageArray, row: int, layer: Layer, listed: FrameList, note: str
) -> ImageArray:
    largest = (math.inf, CELL_WIDTH)
    cell = draw_side(
        frame, row, listed.images, [layer], None, largest, line_width=2, text_size=LABEL_SIZE
    )
    if not layer.shown(row):
        height, width = text_mask(note, 14).shape
        cell[: height + 8, : width + 12] = PAPER
        put_text(cell, note, (6, 4), 14, FAINT)
    return cell


def _draw_frames(
    clips: Sequence[int],
    listed: FrameList,
    truth: Sequence[Layer],
    found: Sequence[Layer],
    score: float,
) -> Iterator[list[list[ImageArray]]]:
    """The frames of the video, each as rows of tiles: titles, then both sides."""
    for clip in clips:
        rows = listed.images.rows_of(clip)
        sides = (truth, None), (found, find_owners(rows, listed.images, truth, found))
        for row in rows.tolist():
            name = f"{listed.titles[clip]}   frame {int(listed.images.position[row])}"
            texts = f"Ground truth   {name}", f"Prediction   score {score:g} or more"
            titles = [
                tile(VIDEO_TITLE, VIDEO_TILE[1], Text(text, 8, 6, 15, INK), paper=VIDEO_PAPER)
                for text in texts
            ]
            yield [titles, draw_tiles(listed, row, sides, VIDEO_TILE, VIDEO_PAPER)]
