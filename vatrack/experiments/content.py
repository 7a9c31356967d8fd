"""What an MLflow run holds of a run's folder: points of curves, parameters, tags."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json
from vatrack.common.user import user_name
from vatrack.config import RunConfig
from vatrack.runs.fingerprint import comparison, config_hash, flatten
from vatrack.runs.folder import RunFolder
from vatrack.runs.metrics_log import Problem, TrainingPoint, ValidationPoint, read_metrics_log

NAME_LENGTH = 250
PARAM_LENGTH = 6000
NOT_PARAMS = {"mlflow", "launcher", "results", "run_label"}  # the label is a tag


@dataclass(frozen=True)
class Point:
    """A line of metrics.jsonl, at one step of the training.

    Attributes:
        time: milliseconds since 1970.
        values: by MLflow's names. The last one, "epoch" or "validated_epoch", is in every line of
            its type: a store that has it at a step has the whole line.
    """

    step: int
    time: int
    values: dict[str, float]

    @property
    def marker(self) -> str:
        """The name of the last value."""
        return next(reversed(self.values))


def read_points(path: Path, started: int) -> tuple[list[Point], list[Problem]]:
    """The points of a metrics.jsonl (none where it is missing), and what is wrong with the file.

    Args:
        started: when the training started, milliseconds since 1970. A line without a time gets one
            that follows from its step: a point that is sent twice must be the same point.
    """
    if not path.exists():
        return [], []
    log = read_metrics_log(path)
    lines: list[tuple[TrainingPoint | ValidationPoint, dict[str, float | None]]] = [
        (line, line.terms | {"epoch": line.epoch}) for line in log.training
    ]
    for line in log.validation:
        values = {f"validation/{name}": value for name, value in line.metrics.items()}
        lines.append((line, values | {"validated_epoch": line.epoch}))
    points = [
        Point(
            line.step,
            started + line.step if line.time is None else round(1000 * line.time),
            finite(values),
        )
        for line, values in lines
        if line.step is not None
    ]
    return sorted(points, key=lambda point: point.step), log.problems


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that a curve can show, under names that MLflow takes."""
    return {
        metric_name(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def metric_name(name: str) -> str:
    """The name with every character that MLflow refuses replaced by an underscore."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII)[:NAME_LENGTH]


def params(run: RunConfig) -> dict[str, str]:
    """The settings of a run by their full names, without those of the machine."""
    flat = flatten(run.model_dump(mode="json", exclude=NOT_PARAMS))
    return {name: str(value)[:PARAM_LENGTH] for name, value in flat.items()}


def tags(folder: Path, run: RunConfig) -> dict[str, str]:
    """What runs are looked up by (docs/mlflow.md)."""
    found = {
        "method": run.method.value,
        "backbone": run.backbone.value,
        "dataset": run.dataset.name,
        "masks": ",".join(run.method.masks),
        "seed": str(run.seed),
        "config_hash": config_hash(run),
        "comparison": comparison(run),
        "mlflow.source.name": "vatrack",
        "mlflow.user": user_name(),
    }
    if run.run_label:
        found["run_label"] = run.run_label
    try:
        revision = read_json(RunFolder(folder).environment).get("git_revision")
    except (InputError, AttributeError):
        revision = None
    if revision:
        # MLflow shows its own tag as the run's version; it takes a bare revision only.
        found["git_revision"] = revision
        found["mlflow.source.git.commit"] = revision.removesuffix("+changes")
    return found
