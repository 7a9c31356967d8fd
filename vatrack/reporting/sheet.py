"""Composes sheets: titles and tiles in a grid. Images are uint8 BGR [H, W, 3], as in `drawing`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vatrack.common.files import atomic_path
from vatrack.common.images import ImageArray, write_image
from vatrack.reporting.drawing import Colour, put_text, text_mask

INK, FAINT, PAPER = (30, 30, 30), (110, 110, 110), (255, 255, 255)


class Text(NamedTuple):
    """A line of text: upper left corner, size of the letters in pixels, colour (BGR)."""

    text: str
    x: int
    y: int
    size: int
    ink: Sequence[int] = FAINT
    bold: bool = False


def evenly(count: int, most: int, *, ends: bool = False) -> list[int]:
    """Numbers below `count`: all, or `most` of them, evenly chosen.

    They are the middles of `most` equal stretches, or with `ends` include the first and the last.
    """
    if count <= most:
        return list(range(count))
    if ends:
        return np.linspace(0, count - 1, most).round().astype(int).tolist()
    return ((np.arange(most) + 0.5) * count / most).astype(int).tolist()


def tile(height: int, width: int, *lines: Text, paper: Colour = PAPER) -> ImageArray:
    """A piece of paper with lines of text; what leaves it is cut off."""
    image = np.full((height, width, 3), paper, np.uint8)
    for line in lines:
        put_text(image, line.text, (line.x, line.y), line.size, line.ink, bold=line.bold)
    return image


def pad(image: ImageArray, below: int, right: int) -> ImageArray:
    """The image with margins of paper."""
    paper = tile(image.shape[0] + below, image.shape[1] + right)
    paper[: image.shape[0], : image.shape[1]] = image
    return paper


def centred(image: ImageArray, size: tuple[int, int], paper: Colour) -> ImageArray:
    """The image in the middle of a tile of a height and width that it fits into."""
    around = tile(*size, paper=paper)
    height, width = image.shape[:2]
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    around[top : top + height, left : left + width] = image
    return around


def grid(rows: Sequence[Sequence[ImageArray]]) -> ImageArray:
    """Tiles side by side, rows below each other.

    A row is as high as its highest tile, a column as wide as its widest; rows may be short.
    """
    heights = [max(cell.shape[0] for cell in row) for row in rows]
    columns = range(max(map(len, rows)))
    widths = [max(row[n].shape[1] for row in rows if n < len(row)) for n in columns]
    paper = tile(sum(heights), sum(widths))
    for row, bottom, height in zip(rows, np.cumsum(heights).tolist(), heights, strict=True):
        for cell, right, width in zip(row, np.cumsum(widths).tolist(), widths, strict=False):
            y, x = bottom - height, right - width
            paper[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    return paper


def fit(text: str, size: int, width: int, *, bold: bool = False) -> str:
    """The text, or as much of its end as fits: clips of one video have the same beginning."""
    for start in range(len(text)):
        shown = text if start == 0 else f"…{text[start:]}"
        if text_mask(shown, size, bold).shape[1] <= width:
            return shown
    return ""


def save_image(image: ImageArray, path: Path) -> None:
    """Writes a PNG or JPEG, by the suffix of the name, whole or not at all."""
    suffix = path.suffix.lower()
    png = [cv2.IMWRITE_PNG_COMPRESSION, 5]  # 7 takes two and a half times as long for 8 % less
    settings = png if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 88]
    with atomic_path(path) as temporary:
        write_image(temporary, image, *settings)
