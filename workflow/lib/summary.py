"""The end of a run of the workflow, for the terminal: the metrics of each run and their places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.evaluation.key_metrics import key_lines
from vatrack.runs.folder import RunFolder
from vatrack.runs.metrics_file import read_metrics
from vatrack.runs.select import read_selection


def closing_summary(
    runs: Iterable[str], report: str, tables: str, rebuild: Mapping[str, str] | None = None
) -> str:
    """What a run of the workflow made, in a few lines; empty: no results yet.

    Args:
        runs: folders of runs; one without metrics has no line.
        report, tables: where these are, if they are there.
        rebuild: how to rebuild folders that Snakemake does not make again for results that are
            there, but that commands such as `vatrack track` read.
    """
    folders = [RunFolder(run) for run in runs]
    lines = key_lines([_row(folder) for folder in folders if folder.metrics.is_file()])
    if lines:
        lines[1] += "   epoch"
        lines.append("")
    places = (("tables", tables), ("report", report))
    lines += [f"{what}: {path}" for what, path in places if Path(path).exists()]
    lost = [
        f"{path}: no such folder; {how}"
        for path, how in (rebuild or {}).items()
        if lines and not Path(path).is_dir()
    ]
    return "\n".join([*lines, *([""] if lost else []), *lost])


def _row(folder: RunFolder) -> tuple[str, Mapping[str, float | None], str]:
    """The name, the metrics, and which epoch was chosen why; nothing for what cannot be read.

    The end must not fail on a file: a stage has reported a bad one already.
    """
    metrics: Mapping[str, float | None] = {}
    with suppress(InputError, OSError):
        metrics = read_metrics(folder.metrics, "evaluate again")
    chosen = "-"
    with suppress(InputError, OSError):
        if best := read_selection(folder.path):
            chosen = f"{best.epoch}, best {best.metric}"
    return folder.path.name, metrics, f"   {chosen}"
