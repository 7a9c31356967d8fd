"""Draws a planned video frame by frame: image, map of visible objects, amodal masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from vatrack.config.categories import CATEGORIES
from vatrack.synthetic.plan import Backdrop, ObjectPlan, Shot, VideoPlan
from vatrack.synthetic.sprites import draw_sprite

# How far the camera sways to each side, as a share of the image's shorter side, and the frames of
# one sway.
SWAY = 0.05
SWAY_FRAMES = 60


@dataclass(frozen=True)
class Drawn:
    """One object in one frame.

    Attributes:
        left, top: corner of the mask in the image, pixels.
        mask: bool [h, w] inside the image, never empty.
    """

    plan: ObjectPlan
    left: int
    top: int
    mask: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of `mask` in arrays of the image's size."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


@dataclass(frozen=True)
class Frame:
    """One raw frame.

    `image`: uint8 [H, W, 3] BGR. `ids`: int16 [H, W], the object seen at each pixel, 0 for the
    background. `objects`: all objects that reach into the image, hidden ones too, in the order of
    their ids.
    """

    image: np.ndarray
    ids: np.ndarray
    objects: list[Drawn]


def draw_frames(plan: VideoPlan, width: int, height: int) -> Iterator[Frame]:
    """Draws all raw frames of a video in order, one in memory at a time.

    In a fade the images of two shots are blended; the objects of the shot that weighs more are
    the ones on the map.
    """
    painters = [_Painter(shot, width, height) for shot in plan.shots]
    for index in range(plan.frames):
        own = next(i for i, shot in enumerate(plan.shots) if shot.start <= index < shot.stop)
        frame = painters[own].draw(index)
        for other in (own - 1, own + 1):
            if 0 <= other < len(painters):
                joint = plan.shots[max(own, other)].start
                weight = _weight(index, joint, plan.shots[min(own, other)].fade)
                share = weight if other < own else 1 - weight
                if share < 1:
                    second = painters[other].draw(index).image
                    image = cv2.addWeighted(frame.image, share, second, 1 - share, 0)
                    frame = Frame(image, frame.ids, frame.objects)
        yield frame


def _weight(index: int, joint: int, fade: int) -> float:
    """Weight of the later shot in a raw frame.

    Args:
        index: the frame.
        joint: first frame of the later shot.
        fade: frames of the fade around it.
    """
    if fade == 0:
        return float(index >= joint)
    return float(np.clip((index - joint + fade / 2 + 0.5) / fade, 0, 1))


class _Painter:
    """Draws the frames of one shot; holds its backdrop and the sprites of its objects."""

    def __init__(self, shot: Shot, width: int, height: int) -> None:
        self.margin = max(1, round(SWAY * min(width, height)))
        self.size = (width, height)
        self.phases = np.random.default_rng(shot.backdrop.seed).uniform(0, 2 * np.pi, 2)
        self.backdrop = draw_backdrop(
            shot.backdrop, width + 2 * self.margin, height + 2 * self.margin
        )
        far_to_near = sorted(shot.objects, key=lambda plan: -plan.depth)
        self.sprites = [
            (plan, draw_sprite(CATEGORIES[plan.label], plan.tint, plan.side))
            for plan in far_to_near
        ]

    def draw(self, index: int) -> Frame:
        width, height = self.size
        turn = 2 * np.pi * index / SWAY_FRAMES
        left, top = np.round(
            self.margin * (1 + np.sin(turn * np.array([1.0, 0.6]) + self.phases))
        ).astype(int)
        image = self.backdrop[top : top + height, left : left + width].copy()
        ids = np.zeros((height, width), np.int16)
        drawn = []
        for plan, sprite in self.sprites:
            placed = _transformed(sprite, plan, index, width, height)
            if placed is None:
                continue
            x, y, patch = placed
            mask = patch[..., 3] >= 128
            if not mask.any():
                continue
            item = Drawn(plan, x, y, mask)
            cv2.copyTo(patch[..., :3], mask.view(np.uint8), image[item.window])
            ids[item.window][mask] = plan.obj_id
            drawn.append(item)
        return Frame(image, ids, sorted(drawn, key=lambda item: item.plan.obj_id))


def _transformed(
    sprite: np.ndarray, plan: ObjectPlan, index: int, width: int, height: int
) -> tuple[int, int, np.ndarray] | None:
    """The sprite turned, scaled, moved and cut at the edge of the image; None if outside.

    Returns:
        Left, top and uint8 [h, w, 4].
    """
    rows, columns = sprite.shape[:2]
    matrix = cv2.getRotationMatrix2D(
        (columns / 2 - 0.5, rows / 2 - 0.5), plan.angle[index], plan.scale[index]
    )
    matrix[:, 2] += plan.centre[index] - (columns / 2 - 0.5, rows / 2 - 0.5)
    corners = np.array([[0, 0, 1], [columns, 0, 1], [0, rows, 1], [columns, rows, 1]]) @ matrix.T
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (width, height))
    if x0 >= x1 or y0 >= y1:
        return None
    matrix[:, 2] -= (x0, y0)
    return (
        int(x0),
        int(y0),
        cv2.warpAffine(sprite, matrix, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR),
    )


def draw_backdrop(backdrop: Backdrop, width: int, height: int) -> np.ndarray:
    """A textured wall and floor: uint8 [height, width, 3] BGR.

    Only the brightness is textured (hue and saturation change slowly), within a quarter up and
    down.
    """
    rng = np.random.default_rng(backdrop.seed)
    light = np.zeros((height, width), np.float32)
    for cells, share in ((3, 0.12), (9, 0.08), (40, 0.07)):
        light += share * _noise(rng, cells, width, height)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    tile = float(rng.uniform(0.08, 0.16))
    shift = 0.5 * tile * (np.floor(y / tile) % 2) if rng.integers(2) else 0.0
    lines = (y / tile % 1 < 0.1) | ((x + shift) / (2 * tile) % 1 < 0.05)
    horizon = float(rng.uniform(0.5, 0.75)) + 0.02 * _noise(rng, 4, width, height)
    floor = y > horizon
    light = 1 + light - 0.12 * np.where(floor, (x + y) / tile % 1 < 0.12, lines)
    hue = backdrop.hue + np.where(floor, 7, 0) + 3 * _noise(rng, 3, width, height)
    hsv = np.stack(
        [
            np.round(hue) % 180,
            backdrop.saturation + np.where(floor, 20, 0) + 10 * _noise(rng, 5, width, height),
            np.clip(backdrop.brightness * light * np.where(floor, 0.85, 1.0), 40, 250),
        ],
        axis=-1,
    )
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR))


def _noise(rng: np.random.Generator, cells: int, width: int, height: int) -> np.ndarray:
    """Smooth noise in about -1..1 with so many bumps over the height: float32 [height, width]."""
    grid = rng.uniform(-1, 1, (cells + 1, max(2, round(cells * width / height) + 1))).astype(
        np.float32
    )
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC))
