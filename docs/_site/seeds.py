"""Prints the README's table of results: median and range over several runs.

python docs/_site/seeds.py RUN_FOLDER...
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

COLUMNS = {
    "image AP50": "image/{}/AP50",
    "video AP": "video/{}/AP",
    "video AP50": "video/{}/AP50",
    "HOTA": "track/{}/HOTA",
    "IDF1": "track/{}/IDF1",
}


def main(folders: list[Path]) -> None:
    """A row for each mask type, then the quality of hidden parts."""
    runs = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    print("| masks |", " | ".join(COLUMNS), "|")
    print("|---|", "---:|" * len(COLUMNS), sep="")
    for masks in ("amodal", "visible"):
        cells = [_cell(runs, name.format(masks)) for name in COLUMNS.values()]
        print(f"| {masks} |", " | ".join(cells), "|")
    print()
    hidden, recall = _cell(runs, "image/hidden/IoU"), _cell(runs, "image/hidden/Recall")
    print(f"Hidden parts: IoU {hidden}, recall {recall}.")


def _cell(runs: list[dict[str, float | None]], name: str) -> str:
    values = [value for run in runs if (value := run[name]) is not None]
    if not values:  # undefined in all of them
        return "–"
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
