"""Plans the videos of the miniature set: shots, objects, depth and paths, without pixels.

Everything follows from (settings, seed, subset, number of the video), so videos can be planned in
any order or process.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import TypeVar

import numpy as np

from vatrack.config.categories import CATEGORIES
from vatrack.config.dataset import SyntheticConfig
from vatrack.sailvos.layout import FRAMES_AFTER, FRAMES_BEFORE
from vatrack.synthetic.paths import plan_paths
from vatrack.synthetic.plan import MODELS_PER_CLASS, Backdrop, ObjectPlan, Shot, VideoPlan
from vatrack.synthetic.shapes import chosen_labels
from vatrack.synthetic.sprites import draw_tint

T = TypeVar("T")

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
            Shot(start, stop, backdrop, plan_paths(settings, objects, start, stop, rng), fade)
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
