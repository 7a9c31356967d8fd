"""The description of an MLflow run: its main metrics as Markdown, on top of the run's page.

MLflow shows the first five lines or so, and the rest after a click.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json
from vatrack.common.progress import duration
from vatrack.config import RunConfig
from vatrack.experiments.names import MAIN
from vatrack.runs.fingerprint import comparison
from vatrack.runs.folder import RunFolder
from vatrack.runs.select import read_selection

UNKNOWN = "-"


def description(folder: Path, run: RunConfig, metrics: Mapping[str, Any]) -> str:
    """What a run is and has reached, as far as its folder tells.

    Args:
        metrics: the final ones by their names in metrics.json; empty before the evaluation.
    """
    parts = [
        f"- **{mask}**: {found}" for mask in run.method.masks if (found := _main(metrics, mask))
    ]
    if (hidden := _percent(metrics.get(MAIN["hidden IoU"]))) != UNKNOWN:
        parts.append(f"- **hidden parts**: IoU {hidden}")
    parts += [f"- {text}" for text in (*_choice(folder), *_training(folder, run))]
    last = (
        f"{run.method} with {run.backbone}, seed {run.seed}, on {run.dataset.name}; metrics in "
        f"percent. Runs to compare with: `tags.comparison = '{comparison(run)}'`. "
        f"Folder: `{folder.resolve()}`."
    )
    return "\n\n".join([*(["\n".join(parts)] if parts else []), last])


def _main(metrics: Mapping[str, Any], mask: str) -> str:
    """The main metrics of a mask type, those that there are."""
    values = {
        name.removesuffix(f" {mask}"): _percent(metrics.get(metric))
        for name, metric in MAIN.items()
        if name.endswith(f" {mask}")
    }
    return ", ".join(f"{name} {value}" for name, value in values.items() if value != UNKNOWN)


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
        f"trained for {duration(done['seconds'])}{on}: {done['epochs']} epochs, "
        f"{done['iterations']} iterations of {run.training.batch_size} pairs"
    ]


def _choice(folder: Path) -> list[str]:
    try:
        best = read_selection(folder)
    except InputError:
        return []
    return [f"chosen: epoch {best.epoch}, {best.reason}"] if best else []


def _percent(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else UNKNOWN
