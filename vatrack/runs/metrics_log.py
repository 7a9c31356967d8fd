"""metrics.jsonl of a run: the one reader, and the form of its lines.

A line is a JSON object: what a training step reports,

    {"step": 50, "epoch": 1, "time": 1700000000.5, "lr": 0.001, "loss": 2.5, "loss_mask": 0.7, ...}

or the metrics of the valid set after an epoch,

    {"step": 400, "epoch": 1, "time": 1700000100.0, "validation": {"video/amodal/AP": 12.5, ...}}
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vatrack.common.errors import InputError
from vatrack.common.files import naming_full_disk
from vatrack.common.text_files import no_such, open_text
from vatrack.common.value_files import check_keys

LARGEST_INTEGER = 2**53  # what a float still counts exactly


@dataclass(frozen=True)
class TrainingPoint:
    """What a training reported at one step.

    Attributes:
        step: optimizer steps so far, 1-based; `epoch`: 1-based.
        time: seconds since 1970; None in files of old runs.
        terms: by name: "lr", "loss", "loss_...", "gradient_norm", "seconds_per_iteration",
            "system/..."; None where a number was not finite.
    """

    step: int
    epoch: int
    time: float | None
    terms: dict[str, float | None]

    def line(self) -> str:
        """The point as a line of the file."""
        return _line({"step": self.step, "epoch": self.epoch, "time": self.time, **self.terms})


@dataclass(frozen=True)
class ValidationPoint:
    """The metrics of the valid set after one epoch.

    Attributes:
        epoch: 1-based.
        step: optimizer steps so far; None in files of old runs.
        time: seconds since 1970; None in files of old runs.
        metrics: by the keys of metrics.json, in percent; None where one is undefined.
    """

    epoch: int
    step: int | None
    time: float | None
    metrics: dict[str, float | None]

    def line(self) -> str:
        """The point as a line of the file."""
        head = {"step": self.step, "epoch": self.epoch, "time": self.time}
        return _line({**head, "validation": self.metrics})


@dataclass(frozen=True)
class Problem:
    """Something in the file that was left out.

    Attributes:
        lost: "line": the whole line; "value": one value, which is no number; "not finite": one
            value, which is NaN, infinite or beyond the range of a float.
        text: what is wrong, with the file, the number of the line, and the fix.
    """

    lost: Literal["line", "value", "not finite"]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class MetricsLog:
    """The content of a metrics.jsonl.

    Where a step or an epoch is there twice, the later line counts.

    Attributes:
        training: in the order of their steps; `validation`: in the order of their epochs.
        problems: what was left out, in the order of the lines.
    """

    training: list[TrainingPoint]
    validation: list[ValidationPoint]
    problems: list[Problem]


def read_metrics_log(path: Path) -> MetricsLog:
    """Reads what is complete in a metrics.jsonl.

    A last line without its newline that is no whole JSON object is one that is being written, or
    that a killed run could not finish: it is no problem. Everything else that is not as it must be
    is left out and listed in `problems`; the rest is read.

    Raises:
        InputError: the file is missing or cannot be read.
    """
    training: dict[int, TrainingPoint] = {}
    validation: dict[int, ValidationPoint] = {}
    problems: list[Problem] = []
    for place, text, unfinished in _lines(Path(path)):
        try:
            value = json.loads(text, object_pairs_hook=check_keys)
        except (ValueError, RecursionError) as error:
            if not unfinished:
                problems.append(
                    Problem("line", f"{place}: not valid JSON ({error}); remove the line")
                )
            continue
        point = _point(value, place, problems)
        if isinstance(point, TrainingPoint):
            training[point.step] = point
        elif point is not None:
            validation[point.epoch] = point
    return MetricsLog(
        [training[step] for step in sorted(training)],
        [validation[epoch] for epoch in sorted(validation)],
        problems,
    )


def append(path: Path, point: TrainingPoint | ValidationPoint) -> None:
    """Adds a point to the end of a metrics.jsonl: the whole line, or nothing of it.

    Raises:
        ValueError: one of its numbers is not finite.
        OSError: the disk is full, or the like.
    """
    line = point.line().encode()
    with naming_full_disk(path), path.open("ab", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        try:
            written = stream.write(line)
            if written < len(line):
                stream.write(line[written:])  # tells why not all could be written
        except OSError:
            stream.truncate(size)
            raise


def _lines(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Each line that is not blank: its place, its text, and whether its newline is missing."""
    if not path.exists() or path.is_dir():
        raise InputError(
            f"{path}: {no_such(path, 'file')}; give a run folder written by `vatrack train`"
        )
    with open_text(path, errors="replace") as stream:
        content = stream.read()
    lines = content.split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{path}, line {number}", line, number == len(lines)


def _point(
    value: Any, place: str, problems: list[Problem]
) -> TrainingPoint | ValidationPoint | None:
    """The point of a line, or None and one more problem."""
    if not isinstance(value, dict):
        problems.append(Problem("line", f"{place}: not a JSON object; remove the line"))
        return None
    step, epoch = value.pop("step", None), value.pop("epoch", None)
    if "validation" in value:
        metrics = value["validation"]
        if _is_count(epoch) and (step is None or _is_count(step)) and isinstance(metrics, dict):
            time = _time(value, place, problems)
            return ValidationPoint(epoch, step, time, _numbers(metrics, place, problems))
    elif _is_count(step) and _is_count(epoch):
        time = _time(value, place, problems)
        return TrainingPoint(step, epoch, time, _numbers(value, place, problems))
    what = "neither a training line (step, epoch, loss, ...) nor a validation line; remove it"
    problems.append(Problem("line", f"{place}: {what}"))
    return None


def _time(value: dict[str, Any], place: str, problems: list[Problem]) -> float | None:
    return _numbers({"time": value.pop("time", None)}, place, problems).get("time")


def _numbers(
    values: dict[str, Any], place: str, problems: list[Problem]
) -> dict[str, float | None]:
    """The values that are finite numbers or null; each other one is a problem."""
    numbers: dict[str, float | None] = {}
    for name, value in values.items():
        if value is None:
            numbers[name] = None
        elif isinstance(value, bool) or not isinstance(value, int | float):
            text = f"{place}, {name}: {_short(value)} is not a number; remove the line"
            problems.append(Problem("value", text))
        elif (number := _finite(value)) is None:
            text = f"{place}, {name}: {_short(value)} is not a finite number; remove the line"
            problems.append(Problem("not finite", text))
        else:
            numbers[name] = number
    return numbers


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 30 else f"{text[:27]}..."


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_INTEGER


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, allow_nan=False) + "\n"
