"""The report's sheet of cuts: the first frame of each clip of a video, and its content scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vatrack.common.colours import COLOURS
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import require_ending
from vatrack.common.images import ImageArray, read_image
from vatrack.reporting.drawing import scale_image, text_mask
from vatrack.reporting.figure_style import figure_style
from vatrack.reporting.sheet import INK, Text, evenly, fit, grid, pad, save_image, tile
from vatrack.sailvos.cuts import read_scores
from vatrack.sailvos.index import check_video, listed_frames, output_of_one, output_of_several
from vatrack.sailvos.layout import list_videos, safe_name
from vatrack.sailvos.structure import read_structure, source_video, usable_clips

TILE = 160  # pixels: longer side of a frame on the sheet
GAP = 8  # pixels between frames
COLUMNS = 8
MOST = 400  # clips that a sheet shows; of more, so many are chosen evenly
CAPTION, TITLE, CURVE = 34, 40, 250  # pixels: height of a tile's text, the title, the score curve
SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class CutSheet:
    """What `write_cut_sheet` wrote: the numbers of clips, of annotated frames, of clips shown."""

    file: Path
    video: str
    clips: int
    frames: int
    shown: int

    @property
    def content(self) -> str:
        """What the sheet shows, in words."""
        text = f"{counted(self.clips, 'clip')} with {counted(self.frames, 'annotated frame')}"
        return text if self.shown == self.clips else f"{text}; {counted(self.shown, 'clip')} shown"

    def __str__(self) -> str:
        return f"{self.file}: {self.video}, {self.content}"


@dataclass(frozen=True)
class Cuts:
    """What sheets are drawn from; index and structure are read once.

    `raw`: raw tree; `index`: from `vatrack index`; `structure`: clip dictionary; `scores`:
    score file of the video, or the folder of score files, None: no curve; `threshold`: content
    score that makes a cut, drawn as a line.
    """

    raw: Path
    index: Path
    structure: Path
    scores: Path | None = None
    threshold: float = 27.0

    @cached_property
    def videos(self) -> dict[str, dict[str, Any]]:
        """The content of the index, for this raw tree."""
        return listed_frames(self.raw, self.index)

    @cached_property
    def clips(self) -> dict[str, list[str]]:
        """The content of the clip dictionary."""
        return usable_clips(read_structure(self.structure))


@dataclass(frozen=True)
class Clip:
    """A clip: its name, the files of its first and last frame, and its length in frames."""

    name: str
    first: str
    last: str
    frames: int


def write_cut_sheet(data: Cuts, video: str, out: Path) -> CutSheet:
    """Draws the sheet of one video.

    Args:
        video: name of the video; one without annotated frames gets a sheet that says so.
        out: JPEG or PNG file.

    Raises:
        InputError: no such video, a clip with a frame that is not annotated, a frame or file that
            cannot be read, or a name of `out` that is neither JPEG nor PNG.
    """
    out = output_of_one(out, video, SUFFIXES[0])
    require_ending(out, "the sheet is an image", *SUFFIXES)
    return _write_sheet(data, video, out)


def write_cut_sheets(data: Cuts, videos: Sequence[str], out: Path) -> Iterator[CutSheet]:
    """`write_cut_sheet` for several videos: `<video>.jpg` in the folder `out`.

    Args:
        videos: their names; none: all of the raw tree.

    Raises:
        InputError: see `write_cut_sheet`; the sheets before are written. Or `out` is the name of an
            image.
    """
    out = output_of_several(out, SUFFIXES)
    for video in videos or list_videos(data.raw):
        yield _write_sheet(data, video, out / f"{video}.jpg")


def _write_sheet(data: Cuts, video: str, out: Path) -> CutSheet:
    raw, index, structure, scores = data.raw, data.index, data.structure, data.scores
    videos = data.videos
    check_video(video, raw, index, videos)
    frames = videos[video]["frames"] if video in videos else []
    files = [frame["file"] for frame in frames]
    sizes = {frame["file"]: (frame["width"], frame["height"]) for frame in frames}
    number_of = {Path(file).stem: number for number, file in enumerate(files)}
    clips = _clips(structure, data.clips, video, number_of)
    folder = raw / safe_name(video, str(index)) / "images"
    values = None
    if scores is not None:
        values = read_scores(
            scores / f"{video}.json" if scores.is_dir() else scores, video, len(files)
        )
    chosen = [clips[number] for number in evenly(len(clips), MOST, ends=True)]
    images = [
        scale_image(read_image(folder / clip.first, sizes.get(clip.first)), (TILE, TILE))
        for clip in chosen
    ]
    columns = COLUMNS if values is not None else max(3, min(COLUMNS, len(chosen)))
    width = columns * (TILE + GAP) + GAP
    blocks = [draw_tiles(chosen, images, columns)]
    if values:
        starts = [number_of[Path(clip.first).stem] for clip in clips]
        names = [Path(file).stem for file in files]
        blocks.append(draw_curve(values, starts, names, data.threshold, width))
    sheet = CutSheet(out, video, len(clips), len(files), len(chosen))
    title = Text(video, GAP, 6, 18, INK, bold=True)
    note = Text(sheet.content, GAP + text_mask(video, 18, True).shape[1] + 14, 11, 13)
    save_image(grid([[tile(TITLE, width, title, note)], *([block] for block in blocks)]), out)
    return sheet


def _clips(
    structure: Path, clips: Mapping[str, list[str]], video: str, number_of: Mapping[str, int]
) -> list[Clip]:
    """The clips of the video in the order of their frames."""
    found = []
    for clip, names in clips.items():
        if source_video(clip) != video:
            continue
        missing = [name for name in names if Path(name).stem not in number_of]
        if missing:
            raise InputError(
                f"{structure}: clip {clip}: {missing[0]} is not an annotated frame of {video}; "
                f"use the dictionary and the index of the same data"
            )
        found.append(Clip(clip, names[0], names[-1], len(names)))
    return sorted(found, key=lambda clip: number_of[Path(clip.first).stem])


def draw_tiles(clips: Sequence[Clip], images: Sequence[ImageArray], columns: int) -> ImageArray:
    """Small frames in rows of `columns`, each with the clip's name, frames and length below.

    `images` are uint8 [h, w, 3] BGR for each clip, h and w at most `TILE`.
    """
    if not clips:
        note = "no clips: the video has no annotated frames"
        return tile(CAPTION + GAP, columns * (TILE + GAP) + GAP, Text(note, GAP, 4, 13))
    left = tile(1, GAP)
    rows = []
    for start in range(0, len(clips), columns):
        shown = slice(start, start + columns)
        rows.append(
            [left, *(pad(image, 0, TILE + GAP - image.shape[1]) for image in images[shown])]
        )
        rows.append([left, *map(_caption, clips[shown])])
    return grid(rows)


def _caption(clip: Clip) -> ImageArray:
    span = f"{Path(clip.first).stem}–{Path(clip.last).stem}"
    length = counted(clip.frames, "frame")
    return tile(
        CAPTION + GAP,
        TILE + GAP,
        Text(fit(clip.name, 11, TILE, bold=True), 0, 2, 11, INK, bold=True),
        Text(fit(f"{span}, {length}", 10, TILE), 0, 17, 10),
    )


def draw_curve(
    scores: Sequence[float],
    starts: Sequence[int],
    frames: Sequence[str],
    threshold: float,
    width: int,
) -> ImageArray:
    """The content score of each frame, the threshold, and the cuts.

    Args:
        scores: scores[k - 1] between frames k - 1 and k.
        starts: number k of the first frame of each clip.
        frames: the name of every frame without suffix; file numbers are written at the axis,
            otherwise k.
        threshold: content score that makes a cut.
        width: pixels.

    Returns:
        uint8 [CURVE, width, 3] BGR.
    """
    values = np.asarray(scores, float)
    numbered = all(name.isascii() and name.isdigit() for name in frames)
    x = np.array([int(name) for name in frames] if numbered else range(len(frames)), float)[1:]
    cut = np.zeros(len(values), bool)
    cut[[start - 1 for start in starts if start > 0]] = True
    passed_over = (values >= threshold) & ~cut
    with figure_style():
        figure = Figure(figsize=(width / 100, CURVE / 100), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        line = axes.get_xaxis_transform()
        orange = COLOURS[1].light
        axes.vlines(x[cut], 0, 1, transform=line, color=orange, alpha=0.3, linewidth=1)
        axes.plot(x, values, color=COLOURS[0].light, linewidth=0.9, label="content score")
        label = f"cut ({int(cut.sum())})"
        axes.plot(x[cut], values[cut], "o", color=orange, markersize=4, label=label)
        if passed_over.any():
            label = f"at or above the threshold, but not cut ({int(passed_over.sum())})"
            (rings,) = axes.plot(x[passed_over], values[passed_over], "o", label=label)
            rings.set(color="#555555", markerfacecolor="none", markersize=5)
        limit = axes.axhline(
            threshold, color="#222222", linewidth=1, label=f"threshold {threshold:g}"
        )
        limit.set_linestyle((0, (4, 3)))
        axes.set_xlabel("frame" if numbered else "annotated frame")
        axes.set_ylabel("content score")
        axes.set_ylim(0, 1.08 * max(threshold, float(values.max())))
        axes.set_xlim(x[0] - 1, x[-1] + 1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=16, integer=True))
        figure.legend(loc="outside upper right", ncols=4, fontsize=8)
        canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, 2::-1])
