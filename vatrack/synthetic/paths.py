"""The paths of the objects of a shot: some hide behind others, leave the image, or cross."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vatrack.config.categories import CATEGORIES
from vatrack.config.dataset import SyntheticConfig
from vatrack.synthetic.plan import ObjectPlan
from vatrack.synthetic.shapes import SHAPES


def plan_paths(
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
