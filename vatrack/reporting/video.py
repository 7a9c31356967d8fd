"""Draws the tracked objects of a frame: what is seen is filled, what is hidden is hatched."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from vatrack.common.arguments import check_type, make_plain, several
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.images import ImageArray
from vatrack.common.mask_types import MaskType
from vatrack.common.similar import unknown
from vatrack.reporting.drawing import (
    draw_box,
    draw_labels,
    draw_trail,
    fill_mask,
    hatch_mask,
    outline_mask,
    track_colours,
)

PARTS = ("outline", "fill", "hidden", "box", "id", "class", "score", "trail")
DEFAULT_PARTS = ("outline", "fill", "hidden", "id", "class", "score")
TRAIL_FRAMES = 40
MOST_TRAILS = 1000


class Objects(Protocol):
    """What is drawn: `vatrack.api.results.FrameResult`, or anything like it."""

    @property
    def boxes(self) -> npt.NDArray[np.float32]: ...
    @property
    def scores(self) -> npt.NDArray[np.float32]: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def track_ids(self) -> npt.NDArray[np.int64]: ...
    @property
    def rles(self) -> Mapping[MaskType, Sequence[dict[str, Any]]]: ...


@dataclass(frozen=True)
class DrawSettings:
    """What to draw, and the line width.

    Attributes:
        parts: some of "outline" (of the whole object), "fill" (its visible part), "hidden" (its
            hidden part, hatched), "box", "id", "class", "score" and "trail", or a single one;
            default: all but box and trail.
        line_width: in pixels, 1 to 100; None: depends on the frame size.

    Raises:
        InputError: a part is unknown, or the line width is out of range.

    Example:
        ```python
        image = cv2.imread("frames/000000.png")
        (result,) = predictor.track([image])
        boxes = vatrack.DrawSettings(parts=("box", "class"), line_width=2)
        cv2.imwrite("boxes.png", result.plot(image, boxes))
        ```
    """

    parts: tuple[str, ...] = DEFAULT_PARTS
    line_width: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", several("parts", self.parts, str))
        for part in self.parts:
            if part not in PARTS:
                raise InputError(unknown("part of a drawing", part, PARTS))
        if self.line_width is not None:
            check_type("the line width", self.line_width, Integral)
            if not 1 <= self.line_width <= 100:
                raise InputError(
                    f"the line width is {counted(self.line_width, 'pixel')}; it must be 1 to 100"
                )
        make_plain(self)


class Trails:
    """Where the tracks have been lately: memory does not grow with their number."""

    def __init__(self) -> None:
        self._points: OrderedDict[int, deque[tuple[float, float]]] = OrderedDict()

    def update(self, objects: Objects) -> None:
        """Adds the centres of the boxes of a frame."""
        centres = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2
        for track, (x, y) in zip(objects.track_ids.tolist(), centres.tolist(), strict=True):
            self._points.setdefault(track, deque(maxlen=TRAIL_FRAMES)).append((x, y))
            self._points.move_to_end(track)
        while len(self._points) > MOST_TRAILS:
            self._points.popitem(last=False)

    def points(self, track: int) -> list[tuple[float, float]]:
        """The latest centres of a track, oldest first."""
        return list(self._points.get(track, ()))


def draw_frame(
    frame: ImageArray,
    objects: Objects,
    settings: DrawSettings | None = None,
    trails: Trails | None = None,
    colours: ImageArray | None = None,
    text_size: int | None = None,
) -> ImageArray:
    """A copy of a frame with its objects.

    Args:
        frame: uint8 [H, W, 3] BGR.
        trails: of the frames before, where trails are drawn.
        colours: [n, 3] BGR; None: those of the tracks' numbers.
        text_size: of the labels, in pixels; None: depends on the frame size.
    """
    settings = settings or DrawSettings()
    parts = set(settings.parts)
    image = np.ascontiguousarray(frame).copy()
    height, width = image.shape[:2]
    line = settings.line_width or max(1, round(min(height, width) / 400))
    if colours is None:
        colours = track_colours(objects.track_ids)
    whole = objects.rles.get("amodal", objects.rles.get("visible"))
    seen = objects.rles.get("visible", whole)
    if whole is None or seen is None:
        raise ValueError("objects without masks cannot be drawn")
    # Small objects lie above large ones. Masks are decoded one by one: of large frames with many
    # objects all of them would take gigabytes.
    areas = np.array([coco_mask.area(code) for code in whole], np.int64)
    order = np.argsort(-areas, kind="stable")
    spacing = 4 * line + 4
    for row in order:
        visible = _decode(seen[row])
        if "fill" in parts:
            fill_mask(image, visible, colours[row])
        if "hidden" in parts and seen is not whole:
            hidden = _decode(whole[row]) & ~visible
            hatch_mask(image, hidden, colours[row], spacing=spacing, width=max(1, spacing // 4))
    for row in order:
        if "outline" in parts:
            outline_mask(image, _decode(whole[row]), colours[row], line)
        if "box" in parts:
            draw_box(image, objects.boxes[row], colours[row], line)
        if "trail" in parts and trails is not None:
            points = trails.points(int(objects.track_ids[row]))
            draw_trail(image, np.array(points).reshape(-1, 2), colours[row], line)
    text_size = text_size or max(11, round(min(height, width) / 45))
    draw_labels(image, objects.boxes, _labels(objects, parts), colours, text_size)
    return image


def _decode(code: dict[str, Any]) -> npt.NDArray[np.bool_]:
    return np.ascontiguousarray(coco_mask.decode(code)).astype(bool)


def _labels(objects: Objects, parts: set[str]) -> list[str]:
    rows = zip(objects.names, objects.track_ids.tolist(), objects.scores.tolist(), strict=True)
    return [
        " ".join(
            text
            for part, text in (("class", name), ("id", f"#{track}"), ("score", f"{score:.2f}"))
            if part in parts
        )
        for name, track, score in rows
    ]
