"""The plan of a video of the miniature set: shots, and objects with their paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vatrack.synthetic.sprites import Tint

MODELS_PER_CLASS = 4


@dataclass(frozen=True)
class ObjectPlan:
    """One object. Arrays run over all raw frames of the video; it shows in its shot only."""

    obj_id: int
    label: int
    model: int
    """Number of the 3-D model among those of the class, 0 .. MODELS_PER_CLASS - 1."""
    tint: Tint
    side: float
    """Square root of the area of the whole mask at scale 1, pixels."""
    depth: float
    """Larger is farther away; farther objects are hidden by nearer ones."""
    centre: np.ndarray
    """[frames, 2] x, y of the sprite's centre, pixels."""
    scale: np.ndarray
    """[frames]"""
    angle: np.ndarray
    """[frames] degrees, counter-clockwise"""


@dataclass(frozen=True)
class Backdrop:
    """The background of a shot; hue in OpenCV's half degrees, saturation and brightness 0..255."""

    hue: int
    saturation: int
    brightness: int
    seed: int


@dataclass(frozen=True)
class Shot:
    """Raw frames start .. stop - 1, in front of one backdrop.

    `fade` is the length of the fade into the next shot, 0 for a cut.
    """

    start: int
    stop: int
    backdrop: Backdrop
    objects: tuple[ObjectPlan, ...]
    fade: int = 0


@dataclass(frozen=True)
class VideoPlan:
    """One video, whole."""

    frames: int
    shots: tuple[Shot, ...]

    @property
    def objects(self) -> list[ObjectPlan]:
        return [item for shot in self.shots for item in shot.objects]
