"""The looks of the miniature set: a silhouette, hue and pattern for each of the 24 classes.

Every silhouette is a list of parts, drawn in order; a part is a set of closed outlines in the unit
square (x right, y down, even-odd filled) and the paint that fills it (`synthetic_sprites`). "body"
is the class's pattern in the colours of the instance, the other paints are the same for all. The
union of the parts is the object's amodal mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vatrack.config.categories import CATEGORIES

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Part:
    """Closed outlines in the unit square, filled even-odd with one paint."""

    paint: str
    outlines: tuple[Points, ...]


@dataclass(frozen=True)
class Shape:
    """The look of one class. `aspect` is width / height; `pattern` one of `pattern_mask`'s."""

    name: str
    aspect: float
    pattern: str
    parts: tuple[Part, ...]


def _rect(paint: str, x0: float, y0: float, x1: float, y1: float) -> Part:
    return Part(paint, (((x0, y0), (x1, y0), (x1, y1), (x0, y1)),))


def _poly(paint: str, *points: tuple[float, float]) -> Part:
    return Part(paint, (points,))


def _circle(x: float, y: float, rx: float, ry: float) -> Points:
    angles = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    return tuple((float(x + rx * np.cos(a)), float(y + ry * np.sin(a))) for a in angles)


def _oval(paint: str, x: float, y: float, rx: float, ry: float) -> Part:
    return Part(paint, (_circle(x, y, rx, ry),))


def _ring(paint: str, x: float, y: float, rx: float, ry: float, inner: float = 0.55) -> Part:
    return Part(paint, (_circle(x, y, rx, ry), _circle(x, y, rx * inner, ry * inner)))


_SHAPES = (
    Shape(
        "person",
        0.46,
        "hstripes",
        (
            _rect("dark", 0.2, 0.56, 0.46, 1.0),
            _rect("dark", 0.54, 0.56, 0.8, 1.0),
            _poly(
                "body",
                (0.0, 0.28),
                (0.15, 0.23),
                (0.85, 0.23),
                (1.0, 0.28),
                (1.0, 0.58),
                (0.0, 0.58),
            ),
            _oval("skin", 0.5, 0.12, 0.24, 0.12),
        ),
    ),
    Shape(
        "car",
        2.0,
        "bands",
        (
            _poly(
                "body",
                (0.0, 0.45),
                (0.2, 0.42),
                (0.32, 0.05),
                (0.7, 0.05),
                (0.85, 0.42),
                (1.0, 0.5),
                (1.0, 0.82),
                (0.0, 0.82),
            ),
            _poly("glass", (0.28, 0.4), (0.36, 0.14), (0.49, 0.14), (0.49, 0.4)),
            _poly("glass", (0.54, 0.4), (0.54, 0.14), (0.67, 0.14), (0.77, 0.4)),
            _oval("dark", 0.22, 0.8, 0.11, 0.2),
            _oval("dark", 0.78, 0.8, 0.11, 0.2),
        ),
    ),
    Shape(
        "motorcycle",
        1.6,
        "rings",
        (
            _ring("dark", 0.21, 0.68, 0.21, 0.32, 0.4),
            _ring("dark", 0.79, 0.68, 0.21, 0.32, 0.4),
            _poly(
                "body",
                (0.12, 0.35),
                (0.45, 0.3),
                (0.6, 0.15),
                (0.72, 0.3),
                (0.8, 0.66),
                (0.5, 0.82),
                (0.25, 0.66),
            ),
            _poly("light", (0.58, 0.0), (0.72, 0.0), (0.76, 0.3), (0.64, 0.3)),
        ),
    ),
    Shape(
        "truck",
        1.7,
        "vstripes",
        (
            _rect("body", 0.0, 0.0, 0.64, 0.82),
            _poly("light", (0.64, 0.28), (0.88, 0.28), (1.0, 0.55), (1.0, 0.82), (0.64, 0.82)),
            _poly("glass", (0.72, 0.34), (0.86, 0.34), (0.94, 0.54), (0.72, 0.54)),
            _oval("dark", 0.16, 0.84, 0.1, 0.16),
            _oval("dark", 0.44, 0.84, 0.1, 0.16),
            _oval("dark", 0.84, 0.84, 0.1, 0.16),
        ),
    ),
    Shape(
        "bird",
        1.5,
        "waves",
        (
            _poly("body", (0.0, 0.25), (0.3, 0.45), (0.3, 0.7), (0.0, 0.6)),
            _oval("body", 0.5, 0.6, 0.32, 0.32),
            _oval("light", 0.78, 0.28, 0.15, 0.22),
            _poly("wood", (0.9, 0.2), (1.0, 0.32), (0.9, 0.38)),
            _rect("wood", 0.4, 0.88, 0.46, 1.0),
            _rect("wood", 0.56, 0.88, 0.62, 1.0),
            _poly("dark", (0.3, 0.5), (0.62, 0.45), (0.42, 0.8)),
        ),
    ),
    Shape(
        "dog",
        1.35,
        "dots",
        (
            _poly("body", (0.0, 0.1), (0.1, 0.08), (0.18, 0.4), (0.1, 0.48)),
            _rect("body", 0.08, 0.6, 0.24, 1.0),
            _rect("body", 0.54, 0.6, 0.7, 1.0),
            _oval("body", 0.4, 0.52, 0.34, 0.22),
            _oval("body", 0.76, 0.28, 0.2, 0.22),
            _oval("light", 0.91, 0.34, 0.09, 0.1),
            _poly("dark", (0.6, 0.02), (0.74, 0.1), (0.64, 0.42), (0.56, 0.3)),
        ),
    ),
    Shape(
        "handbag",
        1.1,
        "checks",
        (
            _ring("dark", 0.5, 0.34, 0.3, 0.34, 0.7),
            _poly("body", (0.1, 0.38), (0.9, 0.38), (1.0, 1.0), (0.0, 1.0)),
            _rect("light", 0.42, 0.42, 0.58, 0.56),
        ),
    ),
    Shape(
        "suitcase",
        0.72,
        "vstripes",
        (
            _rect("dark", 0.3, 0.0, 0.4, 0.25),
            _rect("dark", 0.6, 0.0, 0.7, 0.25),
            _rect("dark", 0.3, 0.0, 0.7, 0.06),
            _rect("body", 0.0, 0.2, 1.0, 0.94),
            _oval("dark", 0.16, 0.95, 0.1, 0.05),
            _oval("dark", 0.84, 0.95, 0.1, 0.05),
            _rect("light", 0.0, 0.5, 1.0, 0.58),
        ),
    ),
    Shape(
        "bottle",
        0.4,
        "bands",
        (
            _rect("dark", 0.3, 0.0, 0.7, 0.08),
            _poly(
                "body",
                (0.34, 0.07),
                (0.66, 0.07),
                (0.7, 0.3),
                (1.0, 0.42),
                (1.0, 1.0),
                (0.0, 1.0),
                (0.0, 0.42),
                (0.3, 0.3),
            ),
            _rect("light", 0.0, 0.55, 1.0, 0.8),
        ),
    ),
    Shape(
        "cup",
        1.15,
        "hstripes",
        (
            _ring("body", 0.78, 0.48, 0.22, 0.3, 0.5),
            _poly("body", (0.0, 0.08), (0.76, 0.08), (0.66, 1.0), (0.1, 1.0)),
            _oval("light", 0.38, 0.08, 0.38, 0.08),
        ),
    ),
    Shape(
        "bowl",
        1.9,
        "dots",
        (
            _poly(
                "body",
                (0.0, 0.18),
                (1.0, 0.18),
                (0.94, 0.5),
                (0.78, 0.78),
                (0.66, 0.88),
                (0.34, 0.88),
                (0.22, 0.78),
                (0.06, 0.5),
            ),
            _oval("light", 0.5, 0.18, 0.5, 0.18),
            _rect("dark", 0.34, 0.86, 0.66, 1.0),
        ),
    ),
    Shape(
        "chair",
        0.66,
        "diagonal",
        (
            _rect("wood", 0.0, 0.6, 0.18, 1.0),
            _rect("wood", 0.82, 0.6, 1.0, 1.0),
            _rect("wood", 0.3, 0.62, 0.44, 0.92),
            _rect("body", 0.0, 0.0, 0.3, 0.66),
            _rect("body", 0.0, 0.48, 1.0, 0.68),
        ),
    ),
    Shape(
        "potted plant",
        0.85,
        "bands",
        (
            _oval("body", 0.26, 0.4, 0.26, 0.2),
            _oval("body", 0.74, 0.4, 0.26, 0.2),
            _oval("body", 0.5, 0.2, 0.22, 0.2),
            _rect("body", 0.42, 0.3, 0.58, 0.64),
            _poly("wood", (0.14, 0.6), (0.86, 0.6), (0.74, 1.0), (0.26, 1.0)),
        ),
    ),
    Shape(
        "bed",
        1.9,
        "checks",
        (
            _rect("wood", 0.0, 0.0, 0.1, 1.0),
            _rect("wood", 0.92, 0.4, 1.0, 1.0),
            _rect("body", 0.08, 0.42, 0.94, 0.82),
            _oval("light", 0.22, 0.38, 0.13, 0.14),
        ),
    ),
    Shape(
        "dining table",
        1.8,
        "waves",
        (
            _rect("wood", 0.08, 0.2, 0.18, 1.0),
            _rect("wood", 0.82, 0.2, 0.92, 1.0),
            _poly(
                "body",
                (0.0, 0.0),
                (1.0, 0.0),
                (1.0, 0.42),
                (0.75, 0.3),
                (0.5, 0.48),
                (0.25, 0.3),
                (0.0, 0.42),
            ),
        ),
    ),
    Shape(
        "tv",
        1.5,
        "diagonal",
        (
            _rect("dark", 0.42, 0.76, 0.58, 0.94),
            _rect("dark", 0.25, 0.9, 0.75, 1.0),
            _rect("dark", 0.0, 0.0, 1.0, 0.8),
            _rect("body", 0.07, 0.09, 0.93, 0.7),
        ),
    ),
    Shape(
        "laptop",
        1.35,
        "rings",
        (
            _rect("dark", 0.14, 0.0, 0.86, 0.66),
            _rect("body", 0.2, 0.07, 0.8, 0.6),
            _poly("light", (0.14, 0.66), (0.86, 0.66), (1.0, 1.0), (0.0, 1.0)),
        ),
    ),
    Shape(
        "cell phone",
        0.55,
        "waves",
        (
            _rect("dark", 0.0, 0.0, 1.0, 1.0),
            _rect("body", 0.1, 0.1, 0.9, 0.82),
            _oval("light", 0.5, 0.91, 0.1, 0.055),
        ),
    ),
    Shape(
        "bag",
        0.85,
        "dots",
        (
            _poly(
                "body",
                (0.25, 0.0),
                (0.75, 0.0),
                (0.64, 0.2),
                (0.95, 0.6),
                (0.9, 1.0),
                (0.1, 1.0),
                (0.05, 0.6),
                (0.36, 0.2),
            ),
            _rect("dark", 0.33, 0.16, 0.67, 0.25),
        ),
    ),
    Shape(
        "bin",
        0.75,
        "vstripes",
        (
            _poly("body", (0.06, 0.16), (0.94, 0.16), (0.82, 1.0), (0.18, 1.0)),
            _rect("dark", 0.0, 0.06, 1.0, 0.2),
            _rect("dark", 0.38, 0.0, 0.62, 0.08),
        ),
    ),
    Shape(
        "box",
        1.15,
        "bands",
        (
            _poly("light", (0.0, 0.28), (0.25, 0.0), (1.0, 0.0), (0.75, 0.28)),
            _poly("wood", (0.75, 0.28), (1.0, 0.0), (1.0, 0.72), (0.75, 1.0)),
            _rect("body", 0.0, 0.28, 0.75, 1.0),
            _rect("light", 0.3, 0.28, 0.45, 1.0),
        ),
    ),
    Shape(
        "door",
        0.5,
        "checks",
        (
            _rect("wood", 0.0, 0.0, 1.0, 1.0),
            _rect("body", 0.12, 0.06, 0.88, 1.0),
            _oval("light", 0.76, 0.54, 0.08, 0.04),
        ),
    ),
    Shape(
        "road barrier",
        1.9,
        "diagonal",
        (
            _rect("dark", 0.12, 0.0, 0.22, 1.0),
            _rect("dark", 0.78, 0.0, 0.88, 1.0),
            _rect("body", 0.0, 0.08, 1.0, 0.38),
            _rect("body", 0.0, 0.5, 1.0, 0.76),
        ),
    ),
    Shape(
        "stick",
        0.26,
        "hstripes",
        (
            _poly(
                "body", (0.3, 0.1), (1.0, 0.0), (1.0, 0.16), (0.66, 0.2), (0.62, 1.0), (0.22, 1.0)
            ),
        ),
    ),
)

SHAPES: dict[str, Shape] = {shape.name: shape for shape in _SHAPES}

# A small set takes the first few of these: neighbours differ in outline, aspect, pattern and
# (below) hue.
ORDER: tuple[str, ...] = (
    "person",
    "car",
    "potted plant",
    "tv",
    "dog",
    "suitcase",
    "bottle",
    "road barrier",
    "chair",
    "bird",
    "bin",
    "truck",
    "handbag",
    "bowl",
    "door",
    "motorcycle",
    "box",
    "laptop",
    "cup",
    "dining table",
    "bag",
    "bed",
    "cell phone",
    "stick",
)

# Steps of the golden angle: every prefix of ORDER is spread evenly over the hues (OpenCV's 0..179).
HUES: dict[str, int] = {name: int(8 + 111.25 * number) % 180 for number, name in enumerate(ORDER)}


def chosen_labels(count: int) -> list[int]:
    """Labels (0-based) of the first `count` classes of the well-spread order."""
    return [CATEGORIES.index(name) for name in ORDER[:count]]
