"""Reads the curves of runs from their metrics.jsonl, smooths and thins them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vatrack.common.errors import InputError

LARGEST_LINE = (
    300  # points of one drawn line; more than this a panel of a few hundred pixels cannot show
)


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


def run_labels(runs: Sequence[Path]) -> list[str]:
    """A short name for each run: the last part of its path, or as many parts as make the names
    differ."""
    parts = [Path(run).resolve().parts for run in runs]
    if len(set(parts)) < len(parts):
        twice = next(run for run, own in zip(runs, parts, strict=True) if parts.count(own) > 1)
        raise InputError(f"{twice}: the run is given twice; name each run's folder once")
    for length in range(1, max(map(len, parts)) + 1):
        tails = [own[-length:] for own in parts]
        if len(set(tails)) == len(tails):
            break
    return ["/".join(tail).replace("__", " + ") for tail in tails]


def read_curves(path: Path) -> Curves:
    """Reads a run's metrics.jsonl. Where a resumed run has logged a step or an epoch again, the
    later line counts.

    Raises:
        InputError: the file is missing, or a line that is not the last one is no JSON object or has
            no step or epoch.
    """
    logged: dict[int, dict[str, Any]] = {}
    validated: dict[int, dict[str, Any]] = {}
    for number, line in _lines(path):
        place = f"{path}, line {number}"
        kind, key = (validated, "epoch") if "validation" in line else (logged, "step")
        at, values = line.get(key), line.get("validation", line)
        if not isinstance(at, int) or not isinstance(values, dict):
            raise InputError(
                f"{place}: neither a training line (step, loss, ...) nor a validation line; remove "
                f"it"
            )
        kind[at] = {
            name: _number(value, f"{place}, {name}")
            for name, value in values.items()
            if _is_curve(name)
        }
    return Curves(*_columns(logged), *_columns(validated))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; --run takes the folder that `vatrack train` has written"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    lines = text.split(
        "\n"
    )  # what follows the last newline is empty, or a line that a killed run could not finish
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                return
            raise InputError(
                f"{path}, line {number}: not valid JSON ({error}); remove the line"
            ) from None
        if not isinstance(value, dict):
            raise InputError(f"{path}, line {number}: not a JSON object; remove the line")
        yield number, value


def _is_curve(name: str) -> bool:
    return name in ("lr", "loss") or name.startswith("loss_") or name.endswith("/AP")


def _number(value: Any, place: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{place}: {value!r} is not a number; remove the line")
    return float(value)


def _columns(rows: dict[int, dict[str, Any]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    order = sorted(rows)
    names = dict.fromkeys(name for at in order for name in rows[at])
    columns = {
        name: np.array([rows[at].get(name, math.nan) for at in order], float) for name in names
    }
    return np.array(order, int), columns


def smooth(values: np.ndarray) -> np.ndarray:
    """Centred moving average [n] with a triangular window of about a tenth of the points; NaN and
    infinity carry no weight."""
    if not len(values):
        return values
    half = len(values) // 20
    window = np.convolve(np.ones(half + 1), np.ones(half + 1))
    known = np.isfinite(values)
    # mode "full" and a cut, because "same" returns the window's length where the window is the
    # longer one
    weight = np.convolve(known.astype(float), window)[half : half + len(values)]
    total = np.convolve(np.where(known, values, 0.0), window)[half : half + len(values)]
    return np.where(known, total / np.where(weight > 0, weight, 1), np.nan)


def thin(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keeps the lowest and the highest point of each of `LARGEST_LINE` / 2 stretches, so that a
    thinned line looks the same."""
    if len(steps) <= LARGEST_LINE:
        return steps, values
    kept = set()
    for stretch in np.array_split(np.arange(len(steps)), LARGEST_LINE // 2):
        finite = stretch[np.isfinite(values[stretch])]
        if len(finite):
            kept |= {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
    order = np.array(sorted(kept | {0, len(steps) - 1}), int)
    return steps[order], values[order]
