"""The description of an MLflow run: its key metrics as Markdown, on top of the run's page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json
from vatrack.config import RunConfig
from vatrack.experiments.names import MAIN
from vatrack.runs.fingerprint import comparison
from vatrack.runs.folder import RunFolder

UNKNOWN = "-"


def description(folder: Path, run: RunConfig, metrics: Mapping[str, Any]) -> str:
    """What a run is and has reached, as far as its folder tells.

    Args:
        metrics: the final ones by their names in metrics.json; empty before the evaluation.
    """
    name = f"**{run.method} with {run.backbone}**"
    masks = " and ".join(run.method.masks)
    blocks = [f"{name}, dataset {run.dataset.name}, {masks} masks, seed {run.seed}."]
    blocks += _table(metrics, run.method.masks)
    blocks += _training(folder, run) + _choice(folder)
    blocks.append(
        f"Runs to compare with: `tags.comparison = '{comparison(run)}'`. Folder: "
        f"`{folder.resolve()}`."
    )
    return "\n\n".join(blocks)


def _table(metrics: Mapping[str, Any], masks: tuple[str, ...]) -> list[str]:
    """The main metrics, a column for each mask type."""
    rows = []
    for short in dict.fromkeys(name.rpartition(" ")[0] for name in MAIN if name.endswith(masks)):
        values = [_percent(metrics.get(MAIN[f"{short} {mask}"])) for mask in masks]
        if set(values) != {UNKNOWN}:
            rows.append(f"| {short} | {' | '.join(values)} |")
    if not rows:
        return []
    head = f"| % | {' | '.join(masks)} |\n|---|{'---:|' * len(masks)}"
    hidden = _percent(metrics.get(MAIN["hidden IoU"]))
    told = [f"Hidden parts: IoU {hidden} %."] if hidden != UNKNOWN else []
    return ["\n".join([head, *rows]), *told]


def _training(folder: Path, run: RunConfig) -> list[str]:
    try:
        done = RunFolder(folder).complete()
        device = read_json(RunFolder(folder).environment).get("device")
    except (InputError, AttributeError):
        return []
    if done is None:
        return []
    on = f" on {device}" if device else ""
    return [
        f"Trained for {_duration(done['seconds'])}{on}: {done['epochs']} epochs, "
        f"{done['iterations']} iterations of {run.training.batch_size} pairs."
    ]


def _choice(folder: Path) -> list[str]:
    path = RunFolder(folder).selection
    if not path.exists():
        return []
    try:
        best = read_json(path)
        epochs = sorted(item["epoch"] for item in best["candidates"])
        among = f" of {', '.join(map(str, epochs))}" if len(epochs) > 1 else ""
        value = _percent(best["value"])
        return [f"Chosen: epoch {best['epoch']}{among}, by {best['metric']} = {value}."]
    except (InputError, KeyError, TypeError):
        return []


def _percent(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else UNKNOWN


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
