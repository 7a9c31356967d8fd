"""Prints the README's table of results: median and range over several runs.

python docs/_site/seeds.py RUN_FOLDER...
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.runs.folder import RunFolder
from vatrack.runs.metrics_file import read_metrics

COLUMNS = {
    "image AP50": "image/{}/AP50",
    "video AP": "video/{}/AP",
    "video AP50": "video/{}/AP50",
    "HOTA": "track/{}/HOTA",
    "IDF1": "track/{}/IDF1",
}


FIX = "give folders of runs with metrics, such as results/mini/runs/vatrack__resnet18"


def main(folders: list[Path]) -> None:
    """A row for each mask type, then the quality of hidden parts.

    Raises:
        InputError: no folder is given, or one lacks metrics.json or a metric of the table.
    """
    if not folders:
        raise InputError(f"RUN_FOLDER... is missing; {FIX}")
    runs = {path: read_metrics(path, FIX) for path in (RunFolder(each).metrics for each in folders)}
    lines = [f"| masks | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    for masks in ("amodal", "visible"):
        cells = [_cell(runs, name.format(masks)) for name in COLUMNS.values()]
        lines.append(f"| {masks} | {' | '.join(cells)} |")
    hidden, recall = _cell(runs, "image/hidden/IoU"), _cell(runs, "image/hidden/Recall")
    print("\n".join([*lines, "", f"Hidden parts: IoU {hidden}, recall {recall}."]))


def _cell(runs: Mapping[Path, Mapping[str, float | None]], name: str) -> str:
    for path, metrics in runs.items():
        if name not in metrics:
            raise InputError(f"{path}: has no value of {name}; {FIX}")
    values = [value for metrics in runs.values() if (value := metrics[name]) is not None]
    if len(values) < len(runs):  # as in the tables, all must have one: often the worst has none
        return "–"
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


if __name__ == "__main__":
    try:
        main([Path(name) for name in sys.argv[1:]])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
