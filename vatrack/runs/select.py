"""Chooses the best checkpoint of a run by its validation metrics (spec 4.6).

The published code leaves this to the reader.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import (
    check_target,
    naming_full_disk,
    require_json,
    sha256_of,
    write_json,
)
from vatrack.common.metric_names import lowest_is_best
from vatrack.common.similar import meant
from vatrack.common.text_files import no_such
from vatrack.common.value_files import read_json
from vatrack.config import Method, RunConfig, SelectionConfig, load_run_config
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import next_step

SHOWN = 5  # candidates


@dataclass(frozen=True)
class Selection:
    """The choice of a checkpoint.

    Attributes:
        out: best.json.
        checkpoint: of the best epoch, in the run's folder; its copy best.pt is beside `out`.
        epoch: the best one, 1-based.
        metric: what it is the best by.
        candidates: the metric's value by epoch, in percent; None where it is undefined.
    """

    out: Path
    checkpoint: Path
    epoch: int
    metric: str
    candidates: dict[int, float | None]

    @property
    def value(self) -> float | None:
        """Of the best epoch."""
        return self.candidates[self.epoch]

    @property
    def ranking(self) -> list[int]:
        """The epochs from the best one on."""
        return ranked(self.candidates, self.metric)

    @property
    def margin(self) -> float | None:
        """By how much the best epoch is better than the next one, in points of percent.

        None where there is no next one, or a value is undefined.
        """
        if len(self.ranking) < 2 or self.value is None:
            return None
        second = self.candidates[self.ranking[1]]
        return None if second is None else abs(self.value - second)

    @property
    def reason(self) -> str:
        """Why this epoch, in a few words."""
        if len(self.candidates) == 1:
            return "the only validated epoch"
        if self.value is None:
            epochs = counted(len(self.candidates), "epoch")
            return f"the last one; {self.metric} is undefined in all {epochs}"
        if self.margin is None:
            return f"the only one whose {self.metric} is defined"
        best, side = ("lowest", "below") if lowest_is_best(self.metric) else ("highest", "above")
        if not self.margin:
            return (
                f"the {best} {self.metric} (same as epoch {self.ranking[1]}, the later one is "
                "chosen)"
            )
        return f"the {best} {self.metric}, {self.margin:.2f} {side} epoch {self.ranking[1]}"

    def __str__(self) -> str:
        width = len(self.metric)
        lines = [f"{self.out}: epoch {self.epoch}, {self.reason}", "", f"epoch  {self.metric}"]
        for epoch in self.ranking[:SHOWN]:
            value = self.candidates[epoch]
            shown = "undefined" if value is None else f"{value:z.2f}"
            chosen = "  chosen" if epoch == self.epoch else ""
            lines.append(f"{epoch:>5}  {shown:>{width}}{chosen}")
        if len(self.candidates) > SHOWN:
            rest = "higher values" if lowest_is_best(self.metric) else "lower values"
            lines.append(f"{'...':>5}  {len(self.candidates) - SHOWN} more with {rest}")
        return "\n".join(lines)


def select_best(run: Path, selection: SelectionConfig, out: Path) -> Selection:
    """Chooses the best checkpoint of a run, makes best.pt of it and describes the choice in `out`.

    The highest value wins (of IDs, ML, FP and FN the lowest), the later epoch among equals; an
    undefined value (null) loses against every number. best.pt is a hard link where the file system
    allows, else a copy.

    Args:
        run: the run's folder, with training.json, validation/, checkpoints/ and, unless a metric
            is chosen, config.yaml.
        out: best.json: {epoch, checkpoint, sha256, metric, value, candidates: [{epoch, value}]};
            best.pt is made beside it.

    Raises:
        InputError: no epoch was validated, the metric is unknown, a checkpoint is missing, or
            config.yaml, training.json or a file of metrics is damaged.
    """
    folder, out = RunFolder(run), Path(out)
    require_json(out, "the choice is")
    check_target(out)
    if folder.config.is_file() and not folder.training.exists():
        raise InputError(f"{run}: {next_step(run, 'training')}")
    epochs = folder.read_training()["epochs"]
    if not selection.metric and not folder.config.is_file():
        raise InputError(
            f"{folder.config}: {no_such(folder.config, 'file')}, so the default metric is unknown; "
            "set selection.metric"
        )
    metric = selection.metric or default_metric(folder, load_run_config(folder.config).method)
    values = validation_values(folder, metric)
    if not values:
        raise InputError(
            f"{folder.validations}: no epoch was validated; set training.validate_from to {epochs} "
            "or less and train again"
        )
    best = best_epoch(values, metric)
    checkpoint = folder.checkpoint(best)
    if not checkpoint.is_file():
        raise InputError(
            f"{checkpoint}: {no_such(checkpoint, 'file')}, but epoch {best} is the best one by "
            f"{metric}; remove {run} and train again, with training.keep_checkpoints: all to keep "
            "every epoch"
        )
    _link(checkpoint, RunFolder(out.parent).best_checkpoint)
    description: dict[str, Any] = {
        "epoch": best,
        "checkpoint": str(checkpoint.relative_to(folder.path)),
        "sha256": sha256_of(checkpoint),
        "metric": metric,
        "value": values[best],
        "candidates": [{"epoch": epoch, "value": value} for epoch, value in sorted(values.items())],
    }
    write_json(out, description, indent=2)
    return Selection(out, checkpoint, best, metric, values)


def read_selection(run: Path) -> Selection | None:
    """The choice that `select_best` described in best.json of a run's folder; None without one.

    Raises:
        InputError: the file is damaged.
    """
    folder = RunFolder(run)
    path = folder.selection
    if not path.is_file():
        return None
    best = read_json(path)
    try:
        epoch, metric = best["epoch"], best["metric"]
        values = {item["epoch"]: item["value"] for item in best["candidates"]}
        checkpoint = folder.path / best["checkpoint"]
    except (KeyError, TypeError):
        values, epoch, metric, checkpoint = {}, None, None, folder.path
    whole = all(type(key) is int for key in values) and epoch in values
    numbers = all(type(value) in (int, float, type(None)) for value in values.values())
    if not (whole and numbers and isinstance(metric, str)):
        raise InputError(
            f"{path}: not written by `vatrack select`; run it again: vatrack select --run "
            f"{shlex.quote(str(run))} --out {shlex.quote(str(path))}"
        )
    return Selection(path, checkpoint, epoch, metric, values)


def validation_values(run: RunFolder, metric: str) -> dict[int, float | None]:
    """The value of a metric after each validated epoch of a run.

    Raises:
        InputError: there is no such metric, or a file of metrics is damaged.
    """
    return {epoch: _value(run, epoch, metric) for epoch, _ in run.validated()}


def best_epoch(values: Mapping[int, float | None], metric: str) -> int:
    """The epoch with the best value, the later one among equals; None loses against a number."""
    return ranked(values, metric)[0]


def ranked(values: Mapping[int, float | None], metric: str) -> list[int]:
    """The epochs from the one with the best value of a metric on, in the order of `best_epoch`."""
    sign = -1 if lowest_is_best(metric) else 1
    return sorted(
        values,
        key=lambda epoch: (values[epoch] is not None, sign * (values[epoch] or 0.0), epoch),
        reverse=True,
    )


def selection_metric(folder: RunFolder, run: RunConfig) -> str:
    """The metric that chooses the best checkpoint of a run."""
    return run.selection.metric or default_metric(folder, run.method)


def default_metric(folder: RunFolder, method: Method) -> str:
    """Video AP, or where no epoch has one, image AP: of amodal masks where the method has them."""
    video, image = f"video/{method.masks[0]}/AP", f"image/{method.masks[0]}/AP"
    found = [folder.read_validation(epoch) for epoch, _ in folder.validated()]
    alone = found and all(each.get(video, 0) is None and image in each for each in found)
    return image if alone else video


def _value(run: RunFolder, epoch: int, metric: str) -> float | None:
    metrics = run.read_validation(epoch)
    if metric not in metrics:
        hint = meant(metric, metrics, f"set it to one of: {', '.join(sorted(metrics))}")
        raise InputError(
            f"{run.validation(epoch)}: has no metric {metric} (selection.metric){hint}"
        )
    return metrics[metric]


def _link(source: Path, target: Path) -> None:
    """A second name for the file's content, or a copy; appears whole or not at all."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            with naming_full_disk(target):
                shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
