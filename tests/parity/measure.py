"""How far our numbers are from the published ones: one value per quantity of a case, each with its
bound."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vatrack.models.boxes import pairwise_iou

EXACT = 0.0
SAME_BOX = 0.99  # IoU


@dataclass(frozen=True)
class Measure:
    """Worst deviation of one quantity of a case.

    Attributes:
        quantity: what was compared.
        unit: how the deviation is counted ("std": in standard deviations of the tensor; "relative";
            "px"; "score"; "wrong": the number of values that differ).
        error: the worst one; NaN and infinity count as infinite.
        bound: the largest one allowed; 0 where the quantity is exact.
    """

    quantity: str
    unit: str
    error: float
    bound: float

    def __post_init__(self) -> None:
        if self.error != self.error:
            object.__setattr__(self, "error", float("inf"))

    @property
    def passes(self) -> bool:
        return self.share <= 1

    @property
    def share(self) -> float:
        """The share of the bound that is used up; above 1 the quantity fails."""
        if self.bound:
            return self.error / self.bound
        return float("inf") if self.error else 0.0


def largest_difference(ours: Tensor | np.ndarray, theirs: Tensor | np.ndarray) -> float:
    """Largest absolute difference of two arrays of one shape, in float64; infinite for another
    shape or a NaN."""
    a, b = (
        x.detach().cpu().double().numpy() if isinstance(x, Tensor) else np.asarray(x, np.float64)
        for x in (ours, theirs)
    )
    if a.shape != b.shape:
        return float("inf")
    if not a.size:
        return 0.0
    largest = float(np.abs(a - b).max())
    return largest if np.isfinite(largest) else float("inf")


def wrong(quantity: str, ours: object, theirs: object) -> Measure:
    """An exact quantity: 0 where both are equal; otherwise how many items of two equally long lists
    differ, at least 1."""
    if ours == theirs:
        return Measure(quantity, "wrong", 0.0, EXACT)
    both_lists = isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs)
    different = sum(a != b for a, b in zip(ours, theirs, strict=True)) if both_lists else 1  # type: ignore[call-overload]
    return Measure(quantity, "wrong", float(different), EXACT)


def worst(measures: Iterable[Measure]) -> list[Measure]:
    """One measure per quantity and unit, that closest to its bound; in order of their first
    appearance."""
    found: dict[tuple[str, str], Measure] = {}
    for measure in measures:
        key = measure.quantity, measure.unit
        if key not in found or (measure.share, measure.error) > (
            found[key].share,
            found[key].error,
        ):
            found[key] = measure
    return list(found.values())


def demand(measures: Iterable[Measure]) -> None:
    """Fails with every quantity that is beyond its bound."""
    measures = list(measures)
    assert measures
    failed = [
        f"{m.quantity}: {m.error:.3g} {m.unit}, allowed {m.bound:.3g}"
        for m in measures
        if not m.passes
    ]
    assert not failed, "\n".join(failed)


def match_boxes(golden: Tensor, ours: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """For each golden box (n, 4 or 5) our best one of those allowed (n, m), if their IoU is above
    0.99.

    Returns:
        (our rows for the golden boxes that have one, which of them have one).
    """
    best, row = (pairwise_iou(golden[:, :4], ours[:, :4]) * allowed).max(dim=1)
    found = best > SAME_BOX
    return row[found], found


def device_of(module: torch.nn.Module) -> torch.device:
    return next(module.parameters()).device
