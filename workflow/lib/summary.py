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
    runs: Iterable[str], report: str, tables: str, clips: str = "", rebuild: str = ""
) -> str:
    """What a run of the workflow made, in a few lines; empty: no results yet.

    Args:
        runs: folders of runs; one without metrics has no line.
        report, tables: where these are, if they are there.
        clips: the folder of all clips, if the workflow makes one. Snakemake does not make it again
            for results that are there, but commands such as `vatrack track` read it.
        rebuild: the command that does.
    """
    folders = [RunFolder(run) for run in runs]
    lines = key_lines([_row(folder) for folder in folders if folder.metrics.is_file()])
    if lines:
        lines[1] += "   epoch"
        lines.append("")
    places = (("tables", tables), ("report", report))
    lines += [f"{what}: {path}" for what, path in places if Path(path).exists()]
    if lines and clips and not Path(clips).is_dir():
        lines += ["", f"{clips}: no such folder; rebuild the clips: {rebuild}"]
    return "\n".join(lines)


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
