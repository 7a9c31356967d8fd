"""Ground truth beside predictions for a few clips: a contact sheet of a few frames, and a video."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import require_ending
from vatrack.common.scores import check_score
from vatrack.data.known_forms import JOINT, wants
from vatrack.reporting.clip_video import check_rate, draw_tiles, write_video
from vatrack.reporting.drawing import ImageArray, put_text, text_mask
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
class ContactSheet:
    """What `write_contact_sheet` wrote: so many clips of all, each with so many rows of images."""

    file: Path
    clips: int
    of_clips: int
    rows: int
    score: float

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.clips} of {counted(self.of_clips, 'clip')}, "
            f"{counted(self.rows, 'row')} each; predictions with a score of {self.score:g} or more"
        )


@dataclass(frozen=True)
class OverlayVideo:
    """What `write_overlay_video` wrote."""

    file: Path
    clips: int
    frames: int

    def __str__(self) -> str:
        return f"{self.file}: {counted(self.frames, 'frame')} of {counted(self.clips, 'clip')}"


@wants(ground_truth=JOINT)
def write_contact_sheet(
    ground_truth: Path, predictions: Path, images: Path, out: Path, *, score: float, clips: int
) -> ContactSheet:
    """Draws a PNG: for a few clips, four frames as columns, masks of both sides as rows.

    Mask types that the predictions do not have are left out.

    Args:
        ground_truth: frame-level JSON in the joint form (design contract 3, spec 1.5).
        predictions: JSON Lines or a JSON array (contract 2).
        images: the folder that the file names of the ground truth are relative to.
        out: the PNG file.
        score: predictions below it are not drawn; 0 to 1.
        clips: how many clips are drawn, evenly chosen among those with objects.

    Raises:
        InputError: a file is missing or not in its form, the number of clips is below 1, or the
            score is not from 0 to 1.
    """
    out = Path(out)
    require_ending(out, "the contact sheet is a PNG image", ".png")
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
    for video in chosen:
        frames = listed.images.rows_of(video)
        columns = frames[evenly(len(frames), FRAMES)].tolist()
        title = f"{listed.titles[video]}   ({counted(len(frames), 'frame')})"
        blocks.append(_draw_clip(title, columns, listed, rows))
    top = tile(34, blocks[0].shape[1], Text(LEGEND, MARGIN, 8, 15))
    save_image(grid([[top], *([pad(block, 14, 0)] for block in blocks)]), out)
    return ContactSheet(out, len(chosen), len(listed.images.frames), len(rows), score)


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


def check_video(out: Path, rate: float) -> None:
    """Looks at what is asked for, before anything is written.

    Raises:
        InputError: the video is no MP4 file, or the rate is none.
    """
    require_ending(out, "the video is an MP4 file", ".mp4")
    check_rate(rate)


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

    Ground truth is on the left and predictions on the right, found objects in the same colour.

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

    def frames() -> Iterator[list[list[ImageArray]]]:
        for video in chosen:
            rows = listed.images.rows_of(video)
            sides = (truth, None), (found, find_owners(rows, listed.images, truth, found))
            for row in rows.tolist():
                name = f"{listed.titles[video]}   frame {int(listed.images.position[row])}"
                texts = f"Ground truth   {name}", f"Prediction   score {score:g} or more"
                titles = [
                    tile(VIDEO_TITLE, VIDEO_TILE[1], Text(text, 8, 6, 15, INK), paper=VIDEO_PAPER)
                    for text in texts
                ]
                yield [titles, draw_tiles(listed, row, sides, VIDEO_TILE, VIDEO_PAPER)]

    size = VIDEO_TITLE + VIDEO_TILE[0], 2 * VIDEO_TILE[1]
    return OverlayVideo(out, len(chosen), write_video(out, size, frames(), rate))
