"""The curves of runs: from their metrics.jsonl, smoothed and thinned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vatrack.common.errors import InputError
from vatrack.runs.metrics_log import read_metrics_log

LARGEST_LINE = 300  # points of one drawn line; a panel of a few hundred pixels cannot show more

# The panels in the order in which a loss is met on the way through the network (names: spec 9.11).
LOSS_NAMES = {
    "loss": "Total",
    "loss_rpn_cls": "RPN objectness",
    "loss_rpn_bbox": "RPN box",
    "loss_cls": "Class",
    "loss_bbox": "Box",
    "loss_amodal_cls": "Class, amodal head",
    "loss_amodal_bbox": "Box, amodal head",
    "loss_mask": "Mask",
    "loss_amodal_mask": "Amodal mask",
    "loss_track": "Embedding",
    "loss_track_aux": "Embedding, auxiliary",
}


@dataclass(frozen=True)
class Curves:
    """The numbers of one run.

    `steps` [n] are optimizer steps, `terms` {name of a loss, or "lr": [n]}; `epochs` [m] are those
    that were validated, `metrics` {key of contract 4: [m]} in percent. NaN where a value is missing
    or undefined.
    """

    steps: np.ndarray
    terms: dict[str, np.ndarray]
    epochs: np.ndarray
    metrics: dict[str, np.ndarray]

    def values(self, name: str) -> np.ndarray | None:
        """A curve by its name; None where none of its values is known."""
        found = self.terms.get(name, self.metrics.get(name))
        return found if found is not None and np.isfinite(found).any() else None


def read_curves(path: Path) -> Curves:
    """Reads the curves of a run's metrics.jsonl.

    Raises:
        InputError: the file is missing, or something in it is not what a run writes, other than
            numbers that are not finite and a last line that a killed run could not finish.
    """
    log = read_metrics_log(path)
    for problem in log.problems:
        if problem.lost != "not finite":
            raise InputError(str(problem))
    training = {point.step: point.terms for point in log.training}
    validation = {point.epoch: point.metrics for point in log.validation}
    return Curves(*_columns(training), *_columns(validation))


def _columns(
    rows: Mapping[int, Mapping[str, float | None]],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    names = dict.fromkeys(name for row in rows.values() for name in row if _is_curve(name))
    columns = {name: np.array([row.get(name) for row in rows.values()], float) for name in names}
    return np.array(list(rows), int), columns


def _is_curve(name: str) -> bool:
    return name in ("lr", "loss") or name.startswith("loss_") or name.endswith("/AP")


def loss_names(curves: Iterable[Curves]) -> list[str]:
    """The losses of some runs, in the order of `LOSS_NAMES`, unknown ones behind them."""
    found = {name for own in curves for name in own.terms if name != "lr"}
    return [name for name in LOSS_NAMES if name in found] + sorted(found - LOSS_NAMES.keys())


def smooth(values: np.ndarray) -> np.ndarray:
    """Centred moving average [n] with a triangular window of about a tenth of the points.

    NaN and infinity carry no weight.
    """
    if not len(values):
        return values
    half = len(values) // 20
    window = np.convolve(np.ones(half + 1), np.ones(half + 1))
    known = np.isfinite(values)
    # mode "full" and a cut: "same" returns the window's length where the window is the longer one
    weight = np.convolve(known.astype(float), window)[half : half + len(values)]
    total = np.convolve(np.where(known, values, 0.0), window)[half : half + len(values)]
    return np.where(known, total / np.where(weight > 0, weight, 1), np.nan)


def thin(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keeps the lowest and highest point of `LARGEST_LINE` / 2 stretches; the line looks alike."""
    if len(steps) <= LARGEST_LINE:
        return steps, values
    kept = set()
    for stretch in np.array_split(np.arange(len(steps)), LARGEST_LINE // 2):
        finite = stretch[np.isfinite(values[stretch])]
        if len(finite):
            kept |= {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
    order = np.array(sorted(kept | {0, len(steps) - 1}), int)
    return steps[order], values[order]
