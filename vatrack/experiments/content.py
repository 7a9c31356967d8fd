"""What an MLflow run holds of a run's folder: points of curves, final metrics, parameters, tags and
a description.

MLflow draws a group of charts for what stands before the last slash of a metric's name, the groups
in the order of the alphabet, and after them what has no slash: losses, one point per validation,
final metrics by evaluation and mask type, the rest of the training's numbers, the main metrics.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.colours import COLOURS
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.progress import duration
from vatrack.common.user import user_name
from vatrack.common.value_files import read_json
from vatrack.config import Method, RunConfig
from vatrack.evaluation.key_metrics import KEY_METRICS
from vatrack.experiments.identity import modified
from vatrack.runs.fingerprint import comparison, config_hash, flatten
from vatrack.runs.folder import RunFolder
from vatrack.runs.made_from import outdated
from vatrack.runs.metrics_file import read_metrics
from vatrack.runs.metrics_log import TrainingPoint, ValidationPoint, read_metrics_log
from vatrack.runs.select import read_selection

LOSSES, VALIDATIONS, RESULTS, TRAINING = "loss", "per-epoch validation", "results", "training"
# In every line of metrics.jsonl of their type, and sent last: they tell which lines have arrived.
EPOCH, VALIDATED_EPOCH = f"{TRAINING}/epoch", f"{VALIDATIONS}/epoch"
PARAM_LENGTH = 6000
NOT_PARAMS = {"mlflow", "launcher", "results", "run_label"}  # the label is a tag

# The columns of the table of runs, the same names as in the paper's tables.
MAIN = {
    f"{mask} {metric.short}" if mask == "hidden" else f"{metric.short} {mask}": metric.key(mask)
    for metric in KEY_METRICS
    for mask in metric.masks
}


@dataclass(frozen=True)
class Point:
    """Values of several curves at one step of the training.

    Attributes:
        time: milliseconds since 1970.
        values: by MLflow's names; of a line of metrics.jsonl, EPOCH or VALIDATED_EPOCH is the last.
    """

    step: int
    time: int
    values: dict[str, float]


def read_points(path: Path, started: int, selected: str | None = None) -> list[Point]:
    """The points of a metrics.jsonl (none where it is missing); warns of what is wrong with it.

    Args:
        started: when the training started, milliseconds since 1970. A line without a time gets one
            that follows from its step: a point that is sent twice must be the same point.
        selected: the metric that the best checkpoint is chosen by, where it is not the default.
    """
    if not path.exists():
        return []
    log = read_metrics_log(path)
    if log.problems:
        more = f" (and {len(log.problems) - 1} more)" if log.problems[1:] else ""
        warnings.warn(f"MLflow: {log.problems[0]}{more}; the rest is uploaded", stacklevel=2)
    points = []
    lines: list[TrainingPoint | ValidationPoint] = [*log.training, *log.validation]
    for line in lines:
        if isinstance(line, TrainingPoint):
            values = {_training_name(name): value for name, value in line.terms.items()}
            marker = EPOCH
        else:
            values = curves(line.metrics, selected)
            marker = VALIDATED_EPOCH
        if line.step is not None:
            time = started + line.step if line.time is None else round(1000 * line.time)
            points.append(Point(line.step, time, _defined(values | {marker: line.epoch})))
    return sorted(points, key=lambda point: point.step)


def _training_name(name: str) -> str:
    """`loss_mask` becomes `loss/mask`, their sum `loss/all`."""
    if name.startswith("loss"):
        return f"{LOSSES}/{'all' if name == 'loss' else name.removeprefix('loss_')}"
    return name if "/" in name else f"{TRAINING}/{name}"


def curves(metrics: Mapping[str, float | None], selected: str | None) -> dict[str, float | None]:
    """What is shown of a validation: the main metrics, and the one that the choice goes by."""
    shown = {name: metrics[metric] for name, metric in MAIN.items() if metric in metrics}
    if selected and selected in metrics and selected not in MAIN.values():
        shown[selected.replace("/", " ")] = metrics[selected]
    return {f"{VALIDATIONS}/{name}": value for name, value in shown.items()}


def _defined(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None}


def final_metrics(path: Path | None) -> Point:
    """All metrics of a metrics.json in their groups; and the main ones, as in a table.

    With the file's time, what a killed call has sent is the same point to the store.

    Raises:
        InputError: the file holds something else.
    """
    if path is None:
        return Point(0, 0, {})
    metrics = _defined(read_metrics(path, "evaluate the run again"))
    main = {name: round(metrics[key], 2) for name, key in MAIN.items() if key in metrics}
    grouped = {_result_name(metric): value for metric, value in metrics.items()}
    return Point(0, modified(path), main | grouped)


def _result_name(metric: str) -> str:
    """`image/amodal_box/AP50` becomes `results image amodal box/AP50`."""
    *group, short = metric.split("/")
    return f"{' '.join([RESULTS, *group]).replace('_', ' ')}/{short}"


def params(run: RunConfig) -> dict[str, str]:
    """The settings of a run by their full names, without those of the machine."""
    flat = flatten(run.model_dump(mode="json", exclude=NOT_PARAMS))
    return {name: str(value)[:PARAM_LENGTH] for name, value in flat.items()}


def run_name(run: RunConfig) -> str:
    """What the MLflow run is called: method, backbone, label (where it has one) and seed."""
    label = run.run_label.removesuffix(f"seed{run.seed}").rstrip("_-.")  # a seed is said once
    words = [run.method.value, run.backbone.value, *([label] if label else [])]
    return " ".join([*words, f"seed {run.seed}"])


def tags(folder: Path, run: RunConfig) -> dict[str, str]:
    """What runs are looked up by (docs/mlflow.md)."""
    # One hue for each method; its seeds differ in lightness.
    hue = COLOURS[list(Method).index(run.method) % len(COLOURS)]
    found = {
        "method": run.method.value,
        "backbone": run.backbone.value,
        "dataset": run.dataset.name,
        "masks": ",".join(run.method.masks),
        "seed": str(run.seed),
        "config_hash": config_hash(run),
        "comparison": comparison(run),
        "mlflow.runColor": (hue.light, hue.dark, hue.deep)[run.seed % 3],
        "mlflow.source.name": "vatrack",
        "mlflow.user": user_name(),
    }
    if run.run_label:
        found["run_label"] = run.run_label
    with suppress(InputError, KeyError, TypeError, AttributeError):  # as far as it is known
        revision = read_json(RunFolder(folder).environment)["git_revision"]
        # MLflow shows its own tag as the run's version; it takes a bare revision only.
        found["mlflow.source.git.commit"] = revision.removesuffix("+changes")
        found["git_revision"] = revision
    return found


def description(folder: Path, run: RunConfig, metrics: Mapping[str, float]) -> str:
    """What a run is and has reached, as Markdown, for the top of its page.

    MLflow shows the first five lines or so, and the rest after a click.

    Args:
        metrics: the final ones by their names in MLflow; empty before the evaluation.
    """
    lines = []
    if main := [f"{name} {metrics[name]:.2f}" for name in MAIN if name in metrics]:
        lines.append(", ".join(main))
    with suppress(InputError):  # a damaged file: the description says what there is
        if best := read_selection(folder):
            lines.append(f"chosen: epoch {best.epoch}, {best.reason}")
        if text := outdated(folder, "metrics"):
            lines.append(f"outdated: {text}")
        if done := RunFolder(folder).complete():
            trained = f"{counted(done['epochs'], 'epoch')} in {duration(done['seconds'])}"
            lines.append(f"trained: {trained}")
    return "".join(f"- {line}\n" for line in lines) + (
        f"\n{run.method} with {run.backbone}, seed {run.seed}, on {run.dataset.name}; "
        f"metrics in percent. Runs to compare with: `tags.comparison = '{comparison(run)}'`. "
        f"Folder: `{folder.resolve()}`."
    )
