"""Draws masks, contours, boxes and labels on a frame: uint8 BGR [H, W, 3], as OpenCV reads it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from vatrack.common.images import ImageArray

Masks = NDArray[np.bool_]
Colour = Sequence[int] | ImageArray  # blue, green, red; 0 to 255

# Twelve strong colours (RGB), neighbours far apart; further ids get them lighter, then darker.
# fmt: off
HUES = np.array([
    [230, 25, 75], [0, 130, 200], [255, 200, 0], [60, 180, 75], [245, 130, 48], [145, 30, 180],
    [70, 240, 240], [240, 50, 230], [170, 220, 40], [154, 99, 36], [0, 128, 128], [128, 128, 255],
], float)
# fmt: on
TINTS = ((0.0, 0.0), (255.0, 0.45), (0.0, 0.4))  # grey level and its share
OPACITY = 0.5  # share of the colour in a mask's pixels (spec 7.3)
FAR = 1e5  # pixels: beyond any image
BLACK, WHITE = (20, 20, 20), (255, 255, 255)


def track_colours(ids: ArrayLike) -> ImageArray:
    """The colours of tracks, [n, 3] BGR; 36 ids in a row get different colours.

    A colour depends on the track's id alone, so that it stays over all frames.
    """
    numbers = np.abs(np.asarray(ids, np.int64).reshape(-1))
    grey, share = np.array(TINTS)[numbers // len(HUES) % len(TINTS)].T
    colours = HUES[numbers % len(HUES)] * (1 - share[:, None]) + (grey * share)[:, None]
    return np.rint(colours[:, ::-1]).astype(np.uint8)


def fill_mask(image: ImageArray, mask: Masks, colour: Colour, opacity: float = OPACITY) -> None:
    """Mixes a colour into the pixels of a mask [H, W] bool; `opacity` is its share."""
    crop = _extent(mask)
    inside, region = mask[crop], image[crop]
    mixed = region[inside] * (1 - opacity) + np.asarray(colour, float) * opacity
    region[inside] = np.rint(mixed).astype(np.uint8)


def hatch_mask(
    image: ImageArray, mask: Masks, colour: Colour, *, spacing: int = 8, width: int = 2
) -> None:
    """Fills a mask [H, W] bool with diagonal lines, `width` of every `spacing` pixels of a row.

    The lines are fixed to the image, so that they neither meet at an object's edge nor flicker
    where a mask changes from frame to frame.
    """
    rows, columns = crop = _extent(mask)
    y, x = np.ogrid[rows, columns]
    image[crop][mask[crop] & ((x + y) % spacing < width)] = colour


def outline_mask(image: ImageArray, mask: Masks, colour: Colour, width: int = 2) -> None:
    """Draws the contours of a mask [H, W] bool, those of its holes too, `width` pixels thick."""
    rows, columns = crop = _extent(mask)
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mask[crop]).view(np.uint8),
        cv2.RETR_LIST,
        cv2.CHAIN_APPROX_NONE,
        offset=(columns.start, rows.start),
    )
    cv2.drawContours(image, contours, -1, _bgr(colour), width, cv2.LINE_AA)


def draw_box(image: ImageArray, box: ArrayLike, colour: Colour, width: int = 1) -> None:
    """Draws a box x1, y1, x2, y2 in pixels; what reaches beyond the image is drawn at its edge."""
    x1, y1, x2, y2 = _inside(image, box)[0]
    cv2.rectangle(image, (x1, y1), (x2, y2), _bgr(colour), width)


def draw_trail(image: ImageArray, points: ArrayLike, colour: Colour, width: int = 2) -> None:
    """Draws where an object has been: [n, 2] points x, y in pixels, oldest first and faintest."""
    path = np.clip(np.asarray(points, float).reshape(-1, 2), -FAR, FAR)
    if not len(path):
        return
    left, top = np.clip(path.min(axis=0) - width, 0, FAR).astype(int).tolist()
    right, bottom = np.clip(path.max(axis=0) + width + 2, 0, FAR).astype(int).tolist()
    region = image[top:bottom, left:right]
    if not region.size:
        return
    shares = np.zeros(region.shape[:2], np.uint8)
    # OpenCV takes sixteenths of a pixel here, as whole numbers of 32 bits.
    ends = np.rint(16 * (path - (left, top))).astype(int).tolist()
    for number, (start, end) in enumerate(pairwise(ends), 1):
        share = 255 * number // (len(path) - 1)
        cv2.line(shares, start, end, share, width, cv2.LINE_AA, 4)
    _blend(region, shares, colour)


def draw_labels(
    image: ImageArray,
    boxes: ArrayLike,
    labels: Sequence[str],
    colours: ImageArray,
    text_size: int = 13,
) -> None:
    """Writes labels on strips of the objects' colours; an empty one is left out.

    A label stands above its box, else inside it, else below it, else in the nearest free row, and
    covers no other one as long as there is room.

    Args:
        boxes: [n, 4] corners x1, y1, x2, y2 in pixels.
        labels: n texts, for example "car #7  0.93".
        colours: [n, 3] uint8 BGR.
        text_size: size of the letters in pixels.
    """
    height, width = image.shape[:2]
    placed: list[tuple[int, int, int, int]] = []
    for (x1, y1, x2, y2), label, colour in zip(_inside(image, boxes), labels, colours, strict=True):
        if not label:
            continue
        strip_height, strip_width = (side + 4 for side in text_mask(label, text_size).shape)
        left, right = min(x1, max(width - strip_width, 0)), max(min(x2 + 1, width) - strip_width, 0)
        above = y1 - strip_height
        others = np.arange(above % strip_height, height - strip_height + 1, strip_height)
        nearest = others[np.argsort(np.abs(others - above), kind="stable")].tolist()
        corners = [
            (x, y)
            for y in (above, y1, y2 - strip_height + 1, y2 + 1, *nearest)
            if 0 <= y <= height - strip_height
            for x in dict.fromkeys((left, right))
        ]
        free = (
            (x, y)
            for x, y in corners
            if not any(
                x < right and left < x + strip_width and y < bottom and top < y + strip_height
                for left, top, right, bottom in placed
            )
        )
        x, y = next(free, corners[0] if corners else (left, 0))
        placed.append((x, y, x + strip_width, y + strip_height))
        corner = (x + strip_width - 1, y + strip_height - 1)
        cv2.rectangle(image, (x, y), corner, _bgr(colour), cv2.FILLED)
        # weights of the luma; bright strips get dark letters
        bright = float(np.dot(colour, (0.114, 0.587, 0.299))) > 140
        put_text(image, label, (x + 2, y + 2), text_size, BLACK if bright else WHITE)


def _bgr(colour: Colour) -> tuple[int, int, int]:
    return int(colour[0]), int(colour[1]), int(colour[2])


def _inside(image: ImageArray, boxes: ArrayLike) -> list[list[int]]:
    """Boxes in whole pixels of the image; a corner that is no number is at the upper left."""
    limit = np.array([image.shape[1], image.shape[0]] * 2) - 1
    corners = np.nan_to_num(np.asarray(boxes, float).reshape(-1, 4))
    whole: list[list[int]] = np.rint(np.clip(corners, 0, limit)).astype(int).tolist()
    return whole


def _extent(mask: Masks) -> tuple[slice, slice]:
    """Rows and columns of the smallest crop that holds the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def put_text(
    image: ImageArray,
    text: str,
    corner: tuple[int, int],
    size: int,
    ink: Colour,
    *,
    bold: bool = False,
) -> None:
    """Writes a line of text into an image from the left upper `corner` (x, y).

    What leaves the image is cut off.
    """
    x, y = corner
    letters = text_mask(text, size, bold)[
        : max(image.shape[0] - y, 0), : max(image.shape[1] - x, 0)
    ]
    region = image[y : y + letters.shape[0], x : x + letters.shape[1]]
    _blend(region, letters, ink)


def _blend(region: ImageArray, shares: ImageArray, colour: Colour) -> None:
    """Mixes a colour into an image [h, w, 3]; `shares` [h, w] from 0 to 255."""
    share = shares[..., None] / np.float32(255)
    mixed = region * (1 - share) + np.array(colour, np.float32) * share
    region[:] = np.rint(mixed).astype(np.uint8)


@lru_cache(maxsize=512)
def text_mask(text: str, size: int, bold: bool = False) -> ImageArray:
    """The ink of a line of text, [h, w] with 255 for full ink; h depends on the size alone."""
    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    canvas = Image.new("L", (max(int(np.ceil(font.getlength(text))), 1), ascent + descent))
    ImageDraw.Draw(canvas).text((0, 0), text, fill=255, font=font)
    ink: ImageArray = np.asarray(canvas, np.uint8)
    return ink


@lru_cache(maxsize=16)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # matplotlib brings the font along, so text looks the same on every machine
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def scale_image(image: ImageArray, largest: tuple[float, float]) -> ImageArray:
    """The image as large as a height and width in pixels allow, with its shape kept.

    To be done before drawing, so that lines and letters have their size on the final image.
    """
    height, width = image.shape[:2]
    scale = min(largest[0] / height, largest[1] / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
