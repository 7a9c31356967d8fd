"""The end of a run of the workflow, for the terminal: the metrics of each run and their places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from vatrack.common.errors import InputError
from vatrack.evaluation.key_metrics import ON_TERMINALS
from vatrack.runs.folder import RunFolder
from vatrack.runs.metrics_file import read_metrics
from vatrack.runs.select import read_selection

COLUMNS = [(mask, metric.key(mask)) for metric in ON_TERMINALS for mask in metric.masks]


def closing_summary(runs: Iterable[str], report: str, tables: str) -> str:
    """What a run of the workflow made, in a few lines.

    Args:
        runs: folders of runs; one without metrics has no line.
        report, tables: where these are.
    """
    folders = [RunFolder(run) for run in runs]
    rows = [(folder.path.name, *_row(folder)) for folder in folders if folder.metrics.is_file()]
    lines = []
    if rows:
        width = max(len("run"), *(len(name) for name, *_ in rows))
        pairs = "".join(f"  {metric.long:16}" for metric in ON_TERMINALS)
        heads = "".join(f"{mask:>9}" for mask, _ in COLUMNS)
        lines += [f"{'':{width}}{pairs}".rstrip(), f"{'run':{width}}{heads}   epoch"]
        for name, values, epoch in rows:
            lines.append(f"{name:{width}}" + "".join(f"{value:>9}" for value in values) + epoch)
        lines.append("")
    lines += [f"{what}: {path}" for what, path in (("tables", tables), ("report", report))]
    return "\n".join(lines)


def _row(folder: RunFolder) -> tuple[list[str], str]:
    """The metrics as text, and which epoch was chosen why; a dash for what cannot be read.

    The end must not fail on a file: a stage has reported a bad one already.
    """
    metrics: Mapping[str, float | None] = {}
    with suppress(InputError, OSError):
        metrics = read_metrics(folder.metrics, "evaluate again")
    chosen = "-"
    with suppress(InputError, OSError):
        if best := read_selection(folder.path):
            chosen = f"{best.epoch}, best {best.metric}"
    values = [metrics.get(key) for _, key in COLUMNS]
    shown = ["-" if value is None else f"{value:.1f}" for value in values]
    return shown, f"   {chosen}"
