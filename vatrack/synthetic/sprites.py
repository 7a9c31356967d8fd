"""Draws objects: a silhouette filled with its class's pattern in an instance's colours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vatrack.synthetic.shapes import HUES, SHAPES

# Fixed paints as OpenCV HSV (hue 0..179).
PAINTS: dict[str, tuple[int, int, int]] = {
    "dark": (110, 60, 45),
    "light": (25, 25, 235),
    "glass": (97, 110, 225),
    "skin": (12, 110, 215),
    "wood": (14, 170, 120),
}


@dataclass(frozen=True)
class Tint:
    """The two HSV colours (hue 0..179) of an instance that its class's pattern alternates."""

    first: tuple[int, int, int]
    second: tuple[int, int, int]


def draw_tint(name: str, rng: np.random.Generator) -> Tint:
    """Random colours: the class's hue with a small shift, and a second one of any hue."""
    hue = (HUES[name] + int(rng.integers(-7, 8))) % 180
    first = (hue, int(rng.integers(170, 256)), int(rng.integers(150, 256)))
    second = (
        int(rng.integers(180)),
        int(rng.integers(0, 160)),
        int(rng.choice((50, 120, 190, 250))),
    )
    return Tint(first, second)


def pattern_mask(pattern: str, height: int, width: int) -> np.ndarray:
    """Where the second colour shows: bool [height, width]; about five repeats over the longer side.

    Raises:
        KeyError: no such pattern.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) * (5.0 / max(height, width))
    if pattern == "bands":
        share = y * (max(height, width) / (5.0 * height))
        return np.asarray(((share > 0.5) & (share < 0.64)) | (share > 0.82))
    if pattern == "hstripes":
        return np.asarray(y % 1 > 0.6)
    if pattern == "vstripes":
        return np.asarray(x % 1 > 0.6)
    if pattern == "diagonal":
        return np.asarray((x + y) % 1 > 0.55)
    if pattern == "checks":
        return np.asarray((x % 1 > 0.5) ^ (y % 1 > 0.5))
    if pattern == "dots":
        return np.asarray(np.hypot(x % 1 - 0.5, y % 1 - 0.5) < 0.3)
    if pattern == "rings":
        return np.asarray(np.hypot(x - x.mean(), y - y.mean()) % 1 > 0.6)
    if pattern == "waves":
        return np.asarray((y + 0.25 * np.sin(x * 2 * np.pi)) % 1 > 0.6)
    raise KeyError(pattern)


def bgr(hsv: tuple[int, int, int]) -> tuple[int, int, int]:
    """An HSV colour (OpenCV ranges) as BGR."""
    blue, green, red = cv2.cvtColor(np.array([[hsv]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return int(blue), int(green), int(red)


def draw_sprite(name: str, tint: Tint, side: float) -> np.ndarray:
    """An object of class `name` whose mask covers about `side`² pixels.

    The colours go on beyond the outline, so that a sprite can be turned and resized without a seam.

    Returns:
        uint8 [h, w, 4], BGR and mask (0 or 255).
    """
    shape = SHAPES[name]
    # Drawn large and scaled down once: small objects keep their proportions.
    height = max(160, round(1.5 * side / np.sqrt(shape.aspect)))
    width = max(8, round(height * shape.aspect))
    paint = np.where(
        pattern_mask(shape.pattern, height, width)[..., None], bgr(tint.second), bgr(tint.first)
    ).astype(np.uint8)
    image, mask = paint.copy(), np.zeros((height, width), np.uint8)
    border = max(2, round(0.03 * np.sqrt(height * width)))
    for piece in shape.pieces:
        inside = np.zeros((height, width), np.uint8)
        outlines = [
            np.round(np.array(points) * (width * 16, height * 16)).astype(np.int32)
            for points in piece.outlines
        ]
        cv2.fillPoly(inside, outlines, 255, shift=4)
        where = inside > 0
        image[where] = paint[where] if piece.paint == "body" else bgr(PAINTS[piece.paint])
        mask |= inside
    # Light from above, and a dark rim that parts objects of the same colour.
    shade = np.linspace(1.1, 0.8, height, dtype=np.float32)[:, None, None]
    inner = cv2.erode(
        cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0),
        np.ones((border, border), np.uint8),
    )
    shade = np.where(inner[1:-1, 1:-1, None] > 0, shade, 0.45 * shade)
    image = np.clip(image * shade, 0, 255).astype(np.uint8)

    scale = side / float(np.sqrt(np.count_nonzero(mask)))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small = cv2.resize(np.dstack([image, mask]), size, interpolation=cv2.INTER_AREA)
    small[..., 3] = np.where(small[..., 3] >= 128, 255, 0)
    return small
