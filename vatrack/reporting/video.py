"""Draws the tracked objects of a frame: what is seen is filled, what is hidden is hatched."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.reporting.drawing import (
    draw_box,
    draw_labels,
    draw_trail,
    fill_mask,
    hatch_mask,
    outline_mask,
    track_colours,
)

Image = npt.NDArray[np.uint8]
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
    def masks(self, mask_type: MaskType = ...) -> npt.NDArray[np.bool_]: ...


@dataclass(frozen=True)
class DrawSettings:
    """What is drawn, and how thick.

    Attributes:
        parts: some of `PARTS`: the outline of the whole object, its visible part filled, its hidden
            part hatched, its box, the id, class and score, and the way it has come.
        line_width: in pixels; None: by the size of the frame.
    """

    parts: tuple[str, ...] = DEFAULT_PARTS
    line_width: int | None = None

    def __post_init__(self) -> None:
        from vatrack.common.similar import unknown

        for part in self.parts:
            if part not in PARTS:
                raise InputError(unknown("part of a drawing", part, PARTS))
        if self.line_width is not None and not 1 <= self.line_width <= 100:
            raise InputError(f"the line width is {self.line_width} pixels; 1 to 100 are possible")


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
    frame: Image,
    objects: Objects,
    settings: DrawSettings | None = None,
    trails: Trails | None = None,
) -> Image:
    """A copy of a frame with its objects.

    Args:
        frame: uint8 [H, W, 3] BGR.
        trails: of the frames before, where trails are drawn.
    """
    settings = settings or DrawSettings()
    parts = set(settings.parts)
    image = np.ascontiguousarray(frame).copy()
    height, width = image.shape[:2]
    line = settings.line_width or max(1, round(min(height, width) / 400))
    colours = track_colours(objects.track_ids)
    amodal, visible = (
        objects.masks(key) if key in objects.rles else None for key in ("amodal", "visible")
    )
    whole = amodal if amodal is not None else visible
    seen = visible if visible is not None else amodal
    if whole is None or seen is None:
        raise ValueError("objects without masks cannot be drawn")
    # Small objects lie above large ones.
    order = np.argsort(-np.count_nonzero(whole, axis=(1, 2)), kind="stable")
    for row in order:
        if "fill" in parts:
            fill_mask(image, seen[row], colours[row])
        if "hidden" in parts and amodal is not None and visible is not None:
            spacing = 4 * line + 4
            hidden = amodal[row] & ~visible[row]
            hatch_mask(image, hidden, colours[row], spacing=spacing, width=max(1, spacing // 4))
    for row in order:
        if "outline" in parts:
            outline_mask(image, whole[row], colours[row], line)
        if "box" in parts:
            draw_box(image, objects.boxes[row], colours[row], line)
        if "trail" in parts and trails is not None:
            points = trails.points(int(objects.track_ids[row]))
            draw_trail(image, np.array(points).reshape(-1, 2), colours[row], line)
    text_size = max(11, round(min(height, width) / 45))
    draw_labels(image, objects.boxes, _labels(objects, parts), colours, text_size)
    return image


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
