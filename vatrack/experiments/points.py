"""The lines of a run's metrics.jsonl as points of curves, always with the same names, steps and
times."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

# Each kind of line has one metric that no line of its kind lacks: a store that has it at a step has
# the whole line.
MARKERS = {"training": "epoch", "validation": "validated_epoch"}
NAME_LENGTH = 250
NO_CURVE = ("step", "time")


@dataclass(frozen=True)
class Point:
    """One line: all its finite values, at one step of the training."""

    kind: str
    step: int
    milliseconds: int  # since 1970
    values: dict[str, float]


def read_points(path: Path, started: int) -> list[Point]:
    """Reads what is complete in a metrics.jsonl; a missing file has no points.

    A line may say its time ("time", seconds since 1970). Without it, the time is counted up from
    the seconds per iteration: a point that is read twice must not differ, or a store could not know
    it again. Where a resumed run has logged a step again, the later line counts. A line that is no
    JSON object with a step and an epoch is left out.

    Args:
        path: the file.
        started: when the training started, milliseconds since 1970.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    points: dict[tuple[str, int], Point] = {}
    last, elapsed = 0.0, 0.0
    for line in _objects(data[: data.rfind(b"\n") + 1]):
        step, epoch = line.get("step"), line.get("epoch")
        if not _is_number(step) or not _is_number(epoch):
            continue
        validation = line.get("validation")
        kind, values = (
            ("validation", _validation(validation))
            if isinstance(validation, dict)
            else ("training", line)
        )
        elapsed += max(0, step - last) * 1000 * _or_zero(line.get("seconds_per_iteration"))
        last = step
        time = line.get("time")
        at = round(time * 1000) if _is_number(time) else started + round(elapsed)
        named = finite({name: value for name, value in values.items() if name not in NO_CURVE})
        points[kind, int(step)] = Point(kind, int(step), at, named | {MARKERS[kind]: float(epoch)})
    return list(points.values())


def batches(points: Iterable[Point], size: int) -> Iterator[list[Point]]:
    """The points in groups of at most `size` values (a point that alone has more is a group of its
    own)."""
    group: list[Point] = []
    count = 0
    for point in points:
        if group and count + len(point.values) > size:
            yield group
            group, count = [], 0
        group.append(point)
        count += len(point.values)
    if group:
        yield group


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that a curve can show, under names that MLflow takes."""
    return {
        metric_name(name): float(value)
        for name, value in values.items()
        if _is_number(value) and math.isfinite(value)
    }


def metric_name(name: str) -> str:
    """The name with every character that MLflow refuses replaced by an underscore."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII)[:NAME_LENGTH]


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    for text in data.split(b"\n"):
        try:
            line = json.loads(text) if text.strip() else None
        except ValueError:  # half a line of a killed run, with the next one behind it
            continue
        if isinstance(line, dict):
            yield line


def _validation(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {f"validation/{name}": value for name, value in metrics.items()}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _or_zero(value: Any) -> float:
    return float(value) if _is_number(value) and math.isfinite(value) else 0.0
