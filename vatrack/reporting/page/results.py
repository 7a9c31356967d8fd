"""What the page says about each run, read from its folder."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vatrack.common.progress import duration
from vatrack.common.value_files import read_json
from vatrack.evaluation.key_metrics import (
    HIDDEN_IOU,
    HOTA,
    IMAGE_AP50,
    KEY_METRICS,
    VIDEO_AP50,
    KeyMetric,
)
from vatrack.evaluation.summary import without_tracks
from vatrack.reporting.curves import Curves, read_curves
from vatrack.reporting.html import run_colour
from vatrack.reporting.tables.names import BACKBONE_NAMES, dataset_name, short_names
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.views import Views, read_views
from vatrack.runs.environment import environment_changes
from vatrack.runs.folder import RunFolder
from vatrack.runs.made_from import outdated, predictions_of
from vatrack.runs.results import commands_of
from vatrack.runs.select import read_selection

LEVELS = {
    "video/amodal": "Video level, amodal masks",
    "video/visible": "Video level, visible masks",
    "image/amodal": "Frame level, amodal masks",
    "image/visible": "Frame level, visible masks",
}


TIME, EPOCH, HIDDEN = "Training time", "Chosen epoch", "Hidden part"


def label(metric: KeyMetric, masks: str) -> str:
    """What the page calls a key metric."""
    return f"{HIDDEN}, IoU" if masks == "hidden" else f"{metric.short}, {masks}"


# All that the page has of a run, in this order.
LABELS = [*(label(metric, masks) for metric in KEY_METRICS for masks in metric.masks), TIME, EPOCH]


@dataclass(frozen=True)
class Shown:
    """A key metric of a run: its label and its text.

    `value` is what it is compared by, None where there is nothing to compare or it is undefined;
    `order` what it is sorted by, where that is not the text.
    """

    name: str
    text: str
    value: float | None
    unit: str = ""
    best: bool = False
    order: float | None = None


@dataclass(frozen=True)
class RunResults:
    """One run as the page shows it.

    Attributes:
        number: from 0, which decides the colour.
        key_metrics: the main ones; `why`: the chosen epoch and the reason.
        curves: None without metrics.jsonl.
        views: the clips, None where none were drawn; `folder`: None for metrics given alone.
        measured: when its metrics were written, seconds since 1970.
    """

    number: int
    name: str
    run: Run
    backbone: str
    dataset: str
    key_metrics: list[Shown]
    why: str
    epoch: int | None
    folder: Path | None
    curves: Curves | None
    views: Views | None
    config: str
    environment: dict[str, str]
    commands: list[str] = field(default_factory=list)
    measured: float | None = None

    @property
    def colour(self) -> str:
        """The class that gives its colour."""
        return run_colour(self.number)

    @property
    def by_name(self) -> dict[str, Shown]:
        """The key metrics by their names."""
        return {metric.name: metric for metric in self.key_metrics}


def collect(runs: Sequence[Run]) -> list[RunResults]:
    """Reads what the folders of runs hold.

    Raises:
        InputError: a file is damaged.
    """
    names = short_names(runs)
    found = [_results(number, run, names[number]) for number, run in enumerate(runs)]
    return _with_best(found)


def _results(number: int, run: Run, name: str) -> RunResults:
    folder = RunFolder(run.folder) if run.folder else None
    training = folder.read_training() if folder and folder.training.is_file() else {}
    choice = read_selection(folder.path) if folder else None
    epoch = choice.epoch if choice else None
    why = [f"Chosen: {choice.reason}."] if choice else []
    if folder and (text := outdated(folder.path, "metrics")):
        why.append(f"Outdated: {text}.")
    has_log = folder is not None and folder.metrics_log.is_file()
    return RunResults(
        number,
        name,
        run,
        BACKBONE_NAMES[run.backbone],
        dataset_name(run.dataset),
        _key_metrics(run, training, epoch),
        " ".join(why),
        epoch,
        run.folder,
        read_curves(folder.metrics_log) if folder and has_log else None,
        _views(folder) if folder else None,
        folder.config.read_text(encoding="utf-8") if folder and folder.config.is_file() else "",
        _environment(_object(folder.environment)) if folder else {},
        list(commands_of(run.folder).values()) if run.folder else [],
        folder.metrics.stat().st_mtime if folder and folder.metrics.is_file() else None,
    )


def _views(run: RunFolder) -> Views | None:
    """The clips; warns where they show other predictions than the run has now."""
    views = read_views(run.views)
    known = predictions_of(run.predictions).get("sha256")
    if views and known and views.predictions not in ("", known):
        warnings.warn(
            f"{run.views}: drawn from other predictions than {run.predictions.name}; run `vatrack "
            "views` again",
            stacklevel=2,
        )
    return views


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path) if path.is_file() else None
    return content if isinstance(content, dict) else {}


def _key_metrics(run: Run, training: dict[str, Any], epoch: int | None) -> list[Shown]:
    """The key metrics; a metric that the run does not have is left out."""
    # Of images that stand alone the metrics of tracks are there, and undefined.
    alone = without_tracks(run.metrics) or not any(k.startswith("video/") for k in run.metrics)
    first = IMAGE_AP50 if alone else VIDEO_AP50
    wanted = [(first, masks) for masks in first.masks]
    if not alone:
        wanted += [(HOTA, masks) for masks in HOTA.masks]
    wanted += [(HIDDEN_IOU, masks) for masks in HIDDEN_IOU.masks]
    found = []
    for metric, masks in wanted:
        key = metric.key(masks)
        if key in run.metrics:
            value = run.metrics[key]
            known = value is not None and value == value
            text, number = (f"{value:.1f}", value) if known else ("–", None)
            found.append(Shown(label(metric, masks), text, number, "%"))
    if training:
        seconds = training["seconds"]
        found.append(Shown(TIME, duration(seconds), None, order=seconds))
    if epoch is not None:
        of = f" of {training['epochs']}" if training else ""
        found.append(Shown(EPOCH, f"{epoch}{of}", None))
    return found


def _with_best(runs: list[RunResults]) -> list[RunResults]:
    """Marks the highest values where runs on one dataset have different ones of the metric; values
    that look the same are equally good."""
    known: defaultdict[tuple[str, str], set[float]] = defaultdict(set)
    for run in runs:
        for metric in run.key_metrics:
            if metric.value is not None:
                known[run.dataset, metric.name].add(float(metric.text))

    def marked(run: RunResults, metric: Shown) -> Shown:
        values = known[run.dataset, metric.name]
        best = metric.value is not None and float(metric.text) == max(values)
        return replace(metric, best=len(values) > 1 and best)

    return [
        replace(run, key_metrics=[marked(run, metric) for metric in run.key_metrics])
        for run in runs
    ]


def _environment(content: dict[str, Any]) -> dict[str, str]:
    """Name and version of everything, flat."""
    flat: dict[str, str] = {}
    for name, value in content.items():
        if name == "earlier" and isinstance(value, list):  # what differed before it was resumed
            starts = [each for each in value if isinstance(each, dict)]
            what = (", ".join(environment_changes(each, content)) for each in starts)
            flat["resumed after"] = "; ".join(what)
        elif isinstance(value, dict):
            flat |= {str(key): str(own) for key, own in value.items()}
        else:
            flat[name.replace("_", " ")] = str(value)
    return flat
