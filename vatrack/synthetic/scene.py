"""Plans the videos of the miniature set: shots, objects, depth and paths, without pixels.

Everything follows from (settings, seed, subset, number of the video), so videos can be planned in
any order or process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import TypeVar

import numpy as np

from vatrack.config.categories import CATEGORIES
from vatrack.config.dataset import SyntheticConfig
from vatrack.sailvos.layout import FRAMES_AFTER, FRAMES_BEFORE
from vatrack.synthetic.shapes import SHAPES, chosen_labels
from vatrack.synthetic.sprites import Tint, draw_tint

T = TypeVar("T")

MODELS_PER_CLASS = 4
# Annotated frames that a shot has at least: a cut is only found with 5 frames before and 6 after it
# (spec 1.3).
SHORTEST_SHOT = 8
# Frames that a fade has at least; faster ones would be cut.
SHORTEST_FADE = 10
LONGEST_FADE = 24
# Bounds of the square root of an object's area, pixels, for the S, M and L columns (limits 32 and
# 96; spec 6.2).
SIDES: dict[str, tuple[float, float]] = {"S": (20.0, 30.0), "M": (38.0, 88.0), "L": (100.0, 460.0)}
# Largest square root of an object's area as a share of the image's.
LARGEST_SHARE = 0.45


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


def plan_video(settings: SyntheticConfig, seed: int, subset: str, number: int) -> VideoPlan:
    """Plans video `number` (0-based) of "train" or "valid"."""
    rng = _generator(seed, subset, "video", number)
    starts = _shot_starts(settings, rng)
    stops = [*starts[1:], settings.frames]
    fades = _fades(starts, stops, number, rng)
    # Dealt from decks that the videos of a subset share: classes and sizes are balanced over the
    # subset.
    dealt = number * settings.objects * len(starts)
    # Two cards of each class in a round: objects of one class meet in a shot.
    labels = _deck(2 * chosen_labels(settings.classes), _generator(seed, subset, "labels"), dealt)
    sizes = _deck(list(SIDES), _generator(seed, subset, "sizes"), dealt)
    shots: list[Shot] = []
    obj_id = 0
    backdrop: Backdrop | None = None
    for start, stop, fade in zip(starts, stops, fades, strict=True):
        backdrop = _next_backdrop(backdrop, bool(shots) and shots[-1].fade > 0, rng)
        objects: list[ObjectPlan] = []
        for _ in range(_count(settings.objects, rng)):
            obj_id += int(rng.integers(1, 5))
            objects.append(_plan_object(settings, next(labels), next(sizes), obj_id, rng))
        shots.append(
            Shot(start, stop, backdrop, _plan_paths(settings, objects, start, stop, rng), fade)
        )
    return VideoPlan(settings.frames, tuple(shots))


def _generator(seed: int, subset: str, purpose: str, number: int = 0) -> np.random.Generator:
    return np.random.default_rng(
        [
            seed,
            ("train", "valid").index(subset),
            ("video", "labels", "sizes").index(purpose),
            number,
        ]
    )


def _deck(cards: list[T], rng: np.random.Generator, skip: int) -> Iterator[T]:
    """Endless shuffled rounds of the cards, without the first `skip`: all come equally often."""
    rounds = (cards[position] for _ in count() for position in rng.permutation(len(cards)))
    return islice(rounds, skip, None)


def _count(average: int, rng: np.random.Generator) -> int:
    return average + int(rng.integers(-1, 2)) if average >= 3 else average


def _shot_starts(settings: SyntheticConfig, rng: np.random.Generator) -> list[int]:
    """First raw frame of every shot; short videos have fewer shots than asked for."""
    annotated = settings.frames - FRAMES_BEFORE - FRAMES_AFTER
    shots = max(1, min(settings.shots, annotated // SHORTEST_SHOT))
    weights = rng.uniform(0.75, 1.25, shots)
    extra = np.floor(
        (annotated - shots * SHORTEST_SHOT) * np.cumsum(weights) / weights.sum()
    ).astype(int)
    cuts = [int(extra[i]) + (i + 1) * SHORTEST_SHOT for i in range(shots - 1)]
    return [0, *(FRAMES_BEFORE + cut for cut in cuts)]


def _fades(starts: list[int], stops: list[int], number: int, rng: np.random.Generator) -> list[int]:
    """Length of the fade after each shot, in frames.

    One join fades in videos of three shots or more, and in every fourth of two.
    """
    fades = [0] * len(starts)
    if len(starts) >= 3 or (len(starts) == 2 and number % 4 == 2):
        join = int(rng.integers(len(starts) - 1))
        shortest = min(
            stops[join] - max(starts[join], FRAMES_BEFORE), stops[join + 1] - starts[join + 1]
        )
        length = min(LONGEST_FADE, int(0.9 * shortest) // 2 * 2)
        if length >= SHORTEST_FADE:
            fades[join] = length
    return fades


def _next_backdrop(previous: Backdrop | None, fade: bool, rng: np.random.Generator) -> Backdrop:
    """A backdrop that differs clearly from the one before.

    Dark and bright shots take turns. Hues are drawn as the content score sees them (120 - hue,
    modulo 180; spec 1.3), away from the ends of that scale, where a small change of colour would be
    a large change of the number. A fade keeps the hue: a blend of two hues passes through grey,
    where hue and saturation jump.
    """
    seen = (120 - previous.hue) % 180 if previous else int(rng.integers(20, 161))
    bright = previous.brightness < 128 if previous else bool(rng.integers(2))
    if fade:
        seen = int(np.clip(seen + rng.integers(-6, 7), 20, 160))
    elif previous:
        choices = [hue for hue in range(20, 161) if abs(hue - seen) >= 40]
        seen = int(rng.choice(choices))
    brightness = int(rng.integers(170, 206) if bright else rng.integers(60, 86))
    return Backdrop(
        (120 - seen) % 180, int(rng.integers(60, 111)), brightness, int(rng.integers(2**31))
    )


def _plan_object(
    settings: SyntheticConfig, label: int, size: str, obj_id: int, rng: np.random.Generator
) -> ObjectPlan:
    largest = LARGEST_SHARE * float(np.sqrt(settings.width * settings.height))
    low, high = SIDES[size]
    high = min(high, largest)
    low = min(low, 0.85 * high)
    side = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    nothing = np.empty(0)
    return ObjectPlan(
        obj_id=obj_id,
        label=label,
        model=int(rng.integers(MODELS_PER_CLASS)),
        tint=draw_tint(CATEGORIES[label], rng),
        side=side,
        depth=float(rng.random()),
        centre=nothing,
        scale=nothing,
        angle=nothing,
    )


def _plan_paths(
    settings: SyntheticConfig,
    objects: list[ObjectPlan],
    start: int,
    stop: int,
    rng: np.random.Generator,
) -> tuple[ObjectPlan, ...]:
    """Gives every object of a shot its path; in the order of `objects`.

    Large objects come first, the others find their position among them: behind one (hidden for a
    while), across one, at the image's edge (gone for a while) or in free space.
    """
    extent = np.array([settings.width, settings.height], float)
    time = np.arange(settings.frames)
    # Motion is as fast in long shots as in short ones.
    period = float(np.clip(stop - start, 16, 60))
    # Crowds are calm: their motion adds up in the content score, which must stay below a cut's
    # (spec 1.3).
    calm = min(1.0, 7 / len(objects))
    # When objects that hide or leave are gone.
    middle = start + (stop - start) * rng.uniform(0.35, 0.65, len(objects))
    placed: list[ObjectPlan] = []
    for item, gone in zip(sorted(objects, key=lambda plan: -plan.side), middle, strict=True):
        depth = item.depth
        near = -np.cos(2 * np.pi * (time - gone) / period)
        role = rng.random()
        hosts = [plan for plan in placed if plan.side > 1.3 * item.side]
        if hosts and role < 0.2:
            host = hosts[int(rng.integers(len(hosts)))]
            reach = 0.5 * (host.side + item.side) * rng.uniform(1.0, 1.6)
            away = reach * (0.5 + 0.5 * near) * rng.choice((-1, 1))
            centre = host.centre + np.stack(
                [away, rng.uniform(-0.15, 0.15) * host.side + 0 * away], axis=1
            )
            depth = host.depth + 1e-3 * float(rng.random())
        elif role < 0.45 and item.side < 0.3 * extent.min():
            centre = _leaving(extent, item, near, rng)
        elif placed and role < 0.8:
            other = placed[int(rng.integers(len(placed)))]
            reach = 0.5 * other.side + rng.uniform(-0.3, 0.5) * item.side
            aside = rng.uniform(0, 2 * np.pi)
            position = other.centre.mean(axis=0) + reach * np.array(
                [np.cos(aside), 0.6 * np.sin(aside)]
            )
            centre = _wander(np.clip(position, 0, extent), extent, time, period, calm, rng)
        else:
            centre = _wander(
                _free_position(extent, item.side, placed, rng), extent, time, period, calm, rng
            )
        scale = 1 + calm * 0.06 * _wave(time, 1.5 * period, rng)
        angle = calm * rng.uniform(2, 8) * _wave(time, period * rng.uniform(0.8, 1.6), rng)
        placed.append(replace(item, depth=depth, centre=centre, scale=scale, angle=angle))
    order = {item.obj_id: position for position, item in enumerate(objects)}
    return tuple(sorted(placed, key=lambda plan: order[plan.obj_id]))


def _wave(time: np.ndarray, period: float, rng: np.random.Generator) -> np.ndarray:
    """A sine of random phase: [frames], -1..1."""
    return np.asarray(np.sin(2 * np.pi * (time / period + rng.random())))


def _wander(
    start: np.ndarray,
    extent: np.ndarray,
    time: np.ndarray,
    period: float,
    calm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    x = calm * rng.uniform(0.03, 0.1) * extent[0] * _wave(time, period * rng.uniform(0.8, 1.6), rng)
    y = (
        calm
        * rng.uniform(0.02, 0.06)
        * extent[1]
        * _wave(time, period * rng.uniform(0.8, 1.6), rng)
    )
    return np.asarray(start + np.stack([x, y], axis=1))


def _leaving(
    extent: np.ndarray, item: ObjectPlan, near: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Walks over the left or right edge and comes back after about a quarter of the period."""
    half = 0.6 * item.side * np.sqrt(SHAPES[CATEGORIES[item.label]].aspect)
    x = half * (1.5 * near + 0.1)
    if rng.integers(2):
        x = extent[0] - x
    return np.stack([x, np.full_like(x, rng.uniform(0.2, 0.8) * extent[1])], axis=1)


def _free_position(
    extent: np.ndarray, side: float, placed: list[ObjectPlan], rng: np.random.Generator
) -> np.ndarray:
    """Of a few random positions the one that is farthest from the objects already there."""
    margin = np.minimum(0.45 * side, 0.45 * extent)
    positions = rng.uniform(margin, extent - margin, (8, 2))
    if not placed:
        return np.asarray(positions[0])
    gaps = [
        np.linalg.norm(positions - plan.centre.mean(axis=0), axis=1) - 0.5 * plan.side
        for plan in placed
    ]
    return np.asarray(positions[int(np.argmax(np.min(gaps, axis=0)))])
