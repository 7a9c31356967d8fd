"""Draws masks, contours, boxes and labels on a frame: uint8 BGR [H, W, 3], as OpenCV reads it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

ImageArray = NDArray[np.uint8]
Masks = NDArray[np.bool_]

# Twelve strong colours (RGB), neighbours far apart; further ids get them lighter, then darker.
# fmt: off
HUES = np.array([
    [230, 25, 75], [0, 130, 200], [255, 200, 0], [60, 180, 75], [245, 130, 48], [145, 30, 180],
    [70, 240, 240], [240, 50, 230], [170, 220, 40], [154, 99, 36], [0, 128, 128], [128, 128, 255],
], float)
# fmt: on
TINTS = ((0.0, 0.0), (255.0, 0.45), (0.0, 0.4))  # grey level and its share
OPACITY = 0.5  # share of the colour in a mask's pixels (spec 7.3)
BLACK, WHITE = (20, 20, 20), (255, 255, 255)


def track_colours(ids: ArrayLike) -> ImageArray:
    """The colours of tracks, [n, 3] BGR; 36 ids in a row get different colours.

    A colour depends on the track's id alone, so that it stays over all frames.
    """
    numbers = np.abs(np.asarray(ids, np.int64).reshape(-1))
    grey, share = np.array(TINTS)[numbers // len(HUES) % len(TINTS)].T
    colours = HUES[numbers % len(HUES)] * (1 - share[:, None]) + (grey * share)[:, None]
    return np.rint(colours[:, ::-1]).astype(np.uint8)


def draw_instances(
    image: ImageArray,
    masks: Masks | None,
    boxes: ArrayLike | None,
    labels: Sequence[str],
    colours: ImageArray,
    *,
    text_size: int = 13,
) -> ImageArray:
    """Draws objects on a copy of an image: half-transparent masks, contours, thin boxes, labels.

    Small masks lie above large ones; no label covers another one as long as there is room at its
    object.

    Args:
        image: [H, W, 3] uint8 BGR.
        masks: [n, H, W] bool, or None for boxes only.
        boxes: [n, 4] corners x1, y1, x2, y2 in pixels, which may reach beyond the image; None: no
            boxes are drawn, and a label stands at its mask (where the mask is empty, there is
            none).
        labels: n texts; an empty one is not drawn.
        colours: [n, 3] uint8 BGR, for example from `track_colours`.
        text_size: size of the letters in pixels.

    Returns:
        [H, W, 3] uint8 BGR.
    """
    result = image.copy()
    count = len(labels)
    crops = [_extent(mask) for mask in masks] if masks is not None else []
    order = np.arange(count)
    if masks is not None:
        order = np.argsort(-np.count_nonzero(masks, axis=(1, 2)), kind="stable")
        for index in order:
            _fill(result, masks[index], crops[index], colours[index])
        for index in order:
            _outline(result, masks[index], crops[index], colours[index])
    limit = np.array([image.shape[1], image.shape[0]] * 2) - 1
    if boxes is None:
        pixels = np.array(
            [(x.start, y.start, x.stop - 1, y.stop - 1) for y, x in crops], int
        ).reshape(-1, 4)
        labels = [label if x.stop else "" for label, (_, x) in zip(labels, crops, strict=True)]
    else:
        corners = np.asarray(boxes, float).reshape(-1, 4)
        pixels = np.rint(np.clip(np.nan_to_num(corners), 0, limit)).astype(int)
        for index in order:
            x1, y1, x2, y2 = pixels[index].tolist()
            cv2.rectangle(result, (x1, y1), (x2, y2), colours[index].tolist(), 1)
    _draw_labels(result, pixels, labels, colours, text_size)
    return result


def _fill(image: ImageArray, mask: Masks, crop: tuple[slice, slice], colour: ImageArray) -> None:
    inside, region = mask[crop], image[crop]
    region[inside] = np.rint(region[inside] * (1 - OPACITY) + colour * OPACITY).astype(np.uint8)


def _outline(image: ImageArray, mask: Masks, crop: tuple[slice, slice], colour: ImageArray) -> None:
    rows, columns = crop
    if rows.start == rows.stop:
        return
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mask[crop]).view(np.uint8),
        cv2.RETR_LIST,
        cv2.CHAIN_APPROX_NONE,
        offset=(columns.start, rows.start),
    )
    cv2.drawContours(image, contours, -1, colour.tolist(), 2, cv2.LINE_AA)


def _extent(mask: Masks) -> tuple[slice, slice]:
    """Rows and columns of the smallest crop that holds the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _draw_labels(
    image: ImageArray,
    boxes: NDArray[np.int_],
    labels: Sequence[str],
    colours: ImageArray,
    text_size: int,
) -> None:
    """Labels on strips of the object's colour.

    A label stands above the box, else inside it, else below it, else in the nearest free row.
    """
    height, width = image.shape[:2]
    placed: list[tuple[int, int, int, int]] = []
    for (x1, y1, x2, y2), label, colour in zip(boxes.tolist(), labels, colours, strict=True):
        if not label:
            continue
        strip_height, strip_width = (side + 4 for side in text_mask(label, text_size).shape)
        left, right = min(x1, max(width - strip_width, 0)), max(min(x2 + 1, width) - strip_width, 0)
        rows = (
            y1 - strip_height,
            y1,
            y2 - strip_height + 1,
            y2 + 1,
            *_nearest_rows(y1 - strip_height, strip_height, height),
        )
        places = [
            (x, y)
            for y in rows
            if 0 <= y <= height - strip_height
            for x in dict.fromkeys((left, right))
        ]
        free = (
            place
            for place in places
            if not any(_overlap(place, strip_width, strip_height, other) for other in placed)
        )
        x, y = next(free, places[0] if places else (left, 0))
        placed.append((x, y, x + strip_width, y + strip_height))
        cv2.rectangle(
            image, (x, y), (x + strip_width - 1, y + strip_height - 1), colour.tolist(), cv2.FILLED
        )
        # weights of the luma; bright strips get dark letters
        bright = float(np.dot(colour, (0.114, 0.587, 0.299))) > 140
        put_text(image, label, (x + 2, y + 2), text_size, BLACK if bright else WHITE)


def _nearest_rows(y: int, step: int, height: int) -> list[int]:
    """All rows a strip can stand in, nearest to `y` first."""
    return sorted(range(y % step, height - step + 1, step), key=lambda row: abs(row - y))


def _overlap(
    place: tuple[int, int], width: int, height: int, other: tuple[int, int, int, int]
) -> bool:
    x, y = place
    return x < other[2] and other[0] < x + width and y < other[3] and other[1] < y + height


def put_text(
    image: ImageArray,
    text: str,
    place: tuple[int, int],
    size: int,
    ink: Sequence[int],
    *,
    bold: bool = False,
) -> None:
    """Writes a line of text into an image from the left upper corner `place` (x, y).

    What leaves the image is cut off.
    """
    x, y = place
    letters = text_mask(text, size, bold)[
        : max(image.shape[0] - y, 0), : max(image.shape[1] - x, 0)
    ]
    region = image[y : y + letters.shape[0], x : x + letters.shape[1]]
    share = letters[..., None] / np.float32(255)
    region[:] = np.rint(region * (1 - share) + np.array(ink, np.float32) * share).astype(np.uint8)


@lru_cache(maxsize=4096)
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


def scale_image(image: ImageArray, masks: Masks, width: int) -> tuple[ImageArray, Masks]:
    """Resizes an image and its masks [n, H, W] to a width in pixels.

    To be done before drawing, so that lines and letters have their size on the final image.
    """
    size = (width, max(round(image.shape[0] * width / image.shape[1]), 1))
    shrink = width < image.shape[1]
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
    resized = np.zeros((len(masks), size[1], size[0]), bool)
    method = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    for index, mask in enumerate(masks):
        grey = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=method)
        resized[index] = grey >= 128
    return np.asarray(scaled, np.uint8), resized
