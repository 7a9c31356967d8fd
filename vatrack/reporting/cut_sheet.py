"""The report's sheet of cuts: the first frame of each clip of a video, and the content scores that
the cuts come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path
from vatrack.common.images import read_image
from vatrack.reporting.drawing import Picture, put_text, text_mask
from vatrack.reporting.plots import COLOURS, figure_style
from vatrack.sailvos.clips import read_structure, source_video, usable_clips
from vatrack.sailvos.cuts import read_scores
from vatrack.sailvos.index import read_index
from vatrack.sailvos.layout import list_videos, safe_name

TILE = 160  # pixels: longer side of a small picture
GAP = 8  # pixels between pictures
COLUMNS = 8
MOST = 400  # clips that a sheet shows; of more, so many are chosen evenly
CAPTION, TITLE, CURVE = (
    34,
    40,
    250,
)  # pixels: height of a tile's text, of the title, of the score curve
INK, FAINT, PAPER = (30, 30, 30), (110, 110, 110), 255
SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Tile:
    """A clip: its name, the files of its first and last frame, and its length in frames."""

    clip: str
    first: str
    last: str
    frames: int


def write_cut_sheet(
    raw: Path,
    index: Path,
    structure: Path,
    video: str,
    out: Path,
    scores: Path | None = None,
    threshold: float = 27.0,
) -> str:
    """Draws the sheet of one video.

    Args:
        raw: raw tree.
        index: from `vatrack index`.
        structure: dictionary of clips.
        video: name of the video; one without annotated frames gets a sheet that says so.
        out: JPEG or PNG file.
        scores: score file of the video, or the folder of score files; None: no curve.
        threshold: content score that makes a cut, drawn as a line.

    Returns:
        A summary line.

    Raises:
        InputError: no such video, a clip with a frame that is not annotated, a frame or file that
            cannot be read, or a name of `out` that is neither JPEG nor PNG.
    """
    out = Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{out}: the sheet is a picture; give --out a name that ends in {', '.join(SUFFIXES)}"
        )
    videos = read_index(index)
    if video not in videos and video not in list_videos(raw):
        raise InputError(f"{video}: neither a folder in {raw} nor in {index}; check the name")
    files = [frame["file"] for frame in videos[video]["frames"]] if video in videos else []
    places = {Path(file).stem: number for number, file in enumerate(files)}
    tiles = _tiles(structure, video, places)
    folder = Path(raw) / safe_name(video, str(index)) / "images"
    values = None
    if scores is not None:
        scores = Path(scores)
        values = read_scores(
            scores / f"{video}.json" if scores.is_dir() else scores, video, len(files)
        )
    chosen = [tiles[number] for number in _evenly(len(tiles), MOST)]
    blocks = [
        draw_tiles(
            chosen, [_small(read_image(folder / tile.first)) for tile in chosen], values is None
        )
    ]
    if values:
        starts = [places[Path(tile.first).stem] for tile in tiles]
        blocks.append(
            draw_curve(
                values, starts, [Path(file).stem for file in files], threshold, blocks[0].shape[1]
            )
        )
    clips = f"{len(tiles)} clip{'s' if len(tiles) != 1 else ''} with {len(files)} annotated frames"
    shown = clips if len(chosen) == len(tiles) else f"{clips}; {len(chosen)} of the clips are shown"
    _save(_stack(f"{video}", shown, blocks), out)
    return f"{out}: {video}, {shown}"


def _tiles(structure: Path, video: str, places: dict[str, int]) -> list[Tile]:
    """The clips of the video in the order of their frames."""
    found = []
    for clip, names in usable_clips(read_structure(structure)).items():
        if source_video(clip) != video:
            continue
        missing = [name for name in names if Path(name).stem not in places]
        if missing:
            mend = "use the dictionary and the index of the same data"
            raise InputError(
                f"{structure}: clip {clip}: {missing[0]} is not an annotated frame of {video}; "
                f"{mend}"
            )
        found.append(Tile(clip, names[0], names[-1], len(names)))
    return sorted(found, key=lambda tile: places[Path(tile.first).stem])


def draw_tiles(tiles: Sequence[Tile], pictures: Sequence[Picture], narrow: bool) -> Picture:
    """Small pictures in rows, each with the clip's name, frames and length below.

    Args:
        pictures: uint8 [h, w, 3] BGR for each tile, h and w at most `TILE`.
        narrow: no wider than the tiles need; otherwise as wide as a full row.
    """
    columns = max(3, min(COLUMNS, len(tiles))) if narrow else COLUMNS
    height = max((len(picture) for picture in pictures), default=0) + CAPTION + GAP
    rows = -(-len(tiles) // columns)
    page = np.full((max(1, rows) * height, columns * (TILE + GAP) + GAP, 3), PAPER, np.uint8)
    for number, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        x, y = GAP + number % columns * (TILE + GAP), number // columns * height
        page[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        below = y + height - CAPTION - GAP
        put_text(page, _fit(tile.clip, 11, TILE, bold=True), (x, below + 2), 11, INK, bold=True)
        span = (
            f"{Path(tile.first).stem}–{Path(tile.last).stem}, {tile.frames} "
            f"frame{'s' if tile.frames != 1 else ''}"
        )
        put_text(page, _fit(span, 10, TILE), (x, below + 17), 10, FAINT)
    if not tiles:
        put_text(page, "no clip: the video has no annotated frames", (GAP, 4), 13, FAINT)
    return page


def draw_curve(
    scores: Sequence[float],
    starts: Sequence[int],
    frames: Sequence[str],
    threshold: float,
    width: int,
) -> Picture:
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
        axes.vlines(
            x[cut],
            0,
            1,
            transform=axes.get_xaxis_transform(),
            color=COLOURS[1],
            alpha=0.3,
            linewidth=1,
        )
        axes.plot(x, values, color=COLOURS[0], linewidth=0.9, label="content score")
        axes.plot(
            x[cut],
            values[cut],
            "o",
            color=COLOURS[1],
            markersize=4,
            label=f"cut ({int(cut.sum())})",
        )
        if passed_over.any():
            label = f"at or above the threshold, not cut ({int(passed_over.sum())})"
            axes.plot(
                x[passed_over],
                values[passed_over],
                "o",
                color="#555555",
                markerfacecolor="none",
                markersize=5,
                label=label,
            )
        axes.axhline(
            threshold,
            color="#222222",
            linestyle=(0, (4, 3)),
            linewidth=1,
            label=f"threshold {threshold:g}",
        )
        axes.set_xlabel("frame" if numbered else "annotated frame")
        axes.set_ylabel("content score")
        axes.set_ylim(0, 1.08 * max(threshold, float(values.max())))
        axes.set_xlim(x[0] - 1, x[-1] + 1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=16, integer=True))
        figure.legend(loc="outside upper right", ncols=4, fontsize=8)
        canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, 2::-1])


def _small(picture: Picture) -> Picture:
    factor = TILE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fit(text: str, size: int, width: int, *, bold: bool = False) -> str:
    """The text, or as much of its end as fits: clips of one video have the same beginning."""
    for start in range(len(text)):
        shown = text if start == 0 else f"…{text[start:]}"
        if text_mask(shown, size, bold).shape[1] <= width:
            return shown
    return ""


def _evenly(count: int, most: int) -> list[int]:
    """Numbers below `count`: all, or `most` of them with the first and the last."""
    return (
        list(range(count))
        if count <= most
        else np.linspace(0, count - 1, most).round().astype(int).tolist()
    )


def _stack(title: str, note: str, blocks: Sequence[Picture]) -> Picture:
    width = max(block.shape[1] for block in blocks)
    top = np.full((TITLE, width, 3), PAPER, np.uint8)
    put_text(top, title, (GAP, 6), 18, INK, bold=True)
    put_text(top, note, (GAP + text_mask(title, 18, True).shape[1] + 14, 11), 13, FAINT)
    return np.vstack([top, *blocks])


def _save(picture: Picture, path: Path) -> None:
    """Writes a picture whole or not at all."""
    suffix = path.suffix.lower()
    settings = (
        [cv2.IMWRITE_PNG_COMPRESSION, 7] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 88]
    )
    encoded, data = cv2.imencode(suffix, picture, settings)
    if not encoded:
        raise RuntimeError(
            f"{path}: OpenCV could not encode a picture of {picture.shape[1]} x {picture.shape[0]} "
            f"pixels"
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
