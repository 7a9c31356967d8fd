"""What an MLflow run holds of a run's folder: points of curves, parameters, tags."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.colours import COLOURS
from vatrack.common.errors import InputError
from vatrack.common.files import read_json
from vatrack.common.user import user_name
from vatrack.config import Method, RunConfig
from vatrack.experiments.names import EPOCH, VALIDATED_EPOCH, curves, training_values
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
        values: by MLflow's names. The last one, EPOCH or VALIDATED_EPOCH, is in every line of its
            type: a store that has it at a step has the whole line.
    """

    step: int
    time: int
    values: dict[str, float]

    @property
    def marker(self) -> str:
        """The name of the last value."""
        return next(reversed(self.values))


def read_points(
    path: Path, started: int, selected: str | None = None
) -> tuple[list[Point], list[Problem]]:
    """The points of a metrics.jsonl (none where it is missing), and what is wrong with the file.

    Args:
        started: when the training started, milliseconds since 1970. A line without a time gets one
            that follows from its step: a point that is sent twice must be the same point.
        selected: the metric that the best checkpoint is chosen by, where it is not the default.
    """
    if not path.exists():
        return [], []
    log = read_metrics_log(path)
    points = []
    lines: list[TrainingPoint | ValidationPoint] = [*log.training, *log.validation]
    for line in lines:
        if isinstance(line, TrainingPoint):
            values = training_values(line.terms) | {EPOCH: line.epoch}
        else:
            values = curves(line.metrics, selected) | {VALIDATED_EPOCH: line.epoch}
        if line.step is not None:
            time = started + line.step if line.time is None else round(1000 * line.time)
            points.append(Point(line.step, time, finite(values)))
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


def run_name(run: RunConfig) -> str:
    """What the MLflow run is called: method, backbone, label (where it has one) and seed."""
    label = run.run_label.removesuffix(f"seed{run.seed}").rstrip("_-.")  # a seed is said once
    parts = [run.method.value, run.backbone.value, *([label] if label else [])]
    return " ".join([*parts, f"seed {run.seed}"])


def _colour(run: RunConfig) -> str:
    """One hue for each method; its labels and seeds differ in lightness."""
    colour = COLOURS[list(Method).index(run.method) % len(COLOURS)]
    shades = (colour.light, colour.dark, colour.deep)
    return shades[(run.seed + zlib.crc32(run.run_label.encode())) % len(shades)]


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
        "mlflow.runColor": _colour(run),
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
