"""The looks of the miniature set: a silhouette, hue and pattern for each of the 24 classes.

Every silhouette is a list of pieces, drawn in order; a piece is a set of closed outlines in the
unit square (x right, y down, even-odd filled) and the paint that fills it (`synthetic.sprites`).
"body" is the class's pattern in the colours of the instance, the other paints are the same for all.
The union of the pieces is the object's amodal mask. `shapes.txt` has them all, and says how.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

import numpy as np

from vatrack.config.categories import CATEGORIES

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Piece:
    """Closed outlines in the unit square, filled even-odd with one paint."""

    paint: str
    outlines: tuple[Points, ...]


@dataclass(frozen=True)
class Shape:
    """The look of one class. `aspect` is width / height; `pattern` one of `pattern_mask`'s."""

    aspect: float
    pattern: str
    pieces: list[Piece]


def _circle(x: float, y: float, rx: float, ry: float) -> Points:
    angles = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    return tuple((float(x + rx * np.cos(a)), float(y + ry * np.sin(a))) for a in angles)


def _piece(paint: str, form: str, *points: str) -> Piece:
    """A piece as its line in `shapes.txt` says it."""
    if form == "poly":
        x_y = (tuple(map(float, point.split(","))) for point in points)
        return Piece(paint, (tuple((x, y) for x, y in x_y),))
    x, y, *rest = (float(value) for point in points for value in point.split(","))
    if form == "rect":
        right, bottom = rest
        return Piece(paint, (((x, y), (right, y), (right, bottom), (x, bottom)),))
    rx, ry, *inner = rest
    return Piece(paint, tuple(_circle(x, y, rx * share, ry * share) for share in (1, *inner)))


def _read_shapes() -> dict[str, Shape]:
    shapes = {}
    text = (resources.files("vatrack.synthetic") / "shapes.txt").read_text()
    for block in re.split(r"\n(?=\w)", text)[1:]:  # the first one is what the file says of itself
        head, *pieces = block.splitlines()
        name, aspect, pattern = re.split(r": | (?=\w+$)", head)
        shapes[name] = Shape(float(aspect), pattern, [_piece(*line.split()) for line in pieces])
    return shapes


# The names are in a well-spread order: a small set takes the first few.
SHAPES = _read_shapes()

# Steps of the golden angle: every prefix of SHAPES is spread evenly over the hues (OpenCV's
# 0..179).
HUES: dict[str, int] = {name: int(8 + 111.25 * number) % 180 for number, name in enumerate(SHAPES)}


def chosen_labels(count: int) -> list[int]:
    """Labels (0-based) of the first `count` classes of the well-spread order."""
    return [CATEGORIES.index(name) for name in list(SHAPES)[:count]]
