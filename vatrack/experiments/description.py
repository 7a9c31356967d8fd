"""The description of an MLflow run: its main metrics as Markdown, on top of the run's page.

MLflow shows the first five lines or so, and the rest after a click.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import read_json
from vatrack.common.progress import duration
from vatrack.config import RunConfig
from vatrack.experiments.names import MAIN, result_name
from vatrack.runs.fingerprint import comparison
from vatrack.runs.folder import RunFolder
from vatrack.runs.select import read_selection


def description(folder: Path, run: RunConfig, metrics: Mapping[str, float]) -> str:
    """What a run is and has reached, as far as its folder tells.

    Args:
        metrics: the final ones by their names in MLflow; empty before the evaluation.
    """
    parts = "\n".join(f"- {part}" for part in _parts(RunFolder(folder), run, metrics))
    last = (
        f"{run.method} with {run.backbone}, seed {run.seed}, on {run.dataset.name}; metrics in "
        f"percent. Runs to compare with: `tags.comparison = '{comparison(run)}'`. "
        f"Folder: `{folder.resolve()}`."
    )
    return f"{parts}\n\n{last}" if parts else last


def _parts(folder: RunFolder, run: RunConfig, metrics: Mapping[str, float]) -> Iterator[str]:
    known = {name: metrics.get(result_name(metric)) for name, metric in MAIN.items()}
    shown = {name: f"{value:.1f}" for name, value in known.items() if value is not None}
    for mask in run.method.masks:
        end = f" {mask}"
        found = [f"{k.removesuffix(end)} {v}" for k, v in shown.items() if k.endswith(end)]
        if found:
            yield f"**{mask}**: {', '.join(found)}"
    if "hidden IoU" in shown:
        yield f"**hidden parts**: IoU {shown['hidden IoU']}"
    try:
        if best := read_selection(folder.path):
            yield f"chosen: epoch {best.epoch}, {best.reason}"
    except InputError:
        pass  # the run's description says what there is
    try:
        done, device = folder.complete(), read_json(folder.environment).get("device")
    except (InputError, AttributeError):
        return
    if done:
        yield (
            f"trained for {duration(done['seconds'])}{f' on {device}' if device else ''}: "
            f"{counted(done['epochs'], 'epoch')}, {counted(done['iterations'], 'iteration')} of "
            f"{counted(run.training.batch_size, 'pair')}"
        )
