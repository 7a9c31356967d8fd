"""Learning rate as a pure function of the iteration (spec 4.5)."""

from __future__ import annotations

import math

from vatrack.config import RunScheduleConfig

FINAL_SHARE = 1e-3


def learning_rate(
    base: float, settings: RunScheduleConfig, iteration: int, iterations_per_epoch: int, epochs: int
) -> float:
    """The rate of a global, 0-based iteration.

    "step": multiplied by gamma before each epoch in `steps`; during the first W = warmup_iterations
    additionally by 1 - (1 - t / W)(1 - 1 / W). "onecycle": rises linearly over the first share of
    the training, then falls along a cosine to a thousandth.
    """
    if settings.name == "onecycle":
        return base * _one_cycle(iteration, iterations_per_epoch * epochs, settings.warmup_fraction)
    epoch = iteration // iterations_per_epoch
    rate = base * settings.gamma ** sum(epoch >= step for step in settings.steps)
    warmup = settings.warmup_iterations
    if iteration < warmup:
        rate *= 1 - (1 - iteration / warmup) * (1 - 1 / warmup)
    return rate


def _one_cycle(iteration: int, total: int, warmup_fraction: float) -> float:
    warmup = max(1, round(total * warmup_fraction))
    if iteration < warmup:
        return (iteration + 1) / warmup
    progress = (iteration - warmup) / max(1, total - warmup)
    return FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))
