"""Made-up metrics of runs, and what the written tables hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import yaml

COLUMNS = ("AP", "AP50", "AP75", "AP50_P", "AP50_OM", "AP50_H", "AP50_L", "AP50_M", "AP50_S")
FILES = [
    f"{level}_{mask_type}"
    for level in ("image", "video", "track")
    for mask_type in ("amodal", "visible")
]


def metrics(path: Path, start: float, **changes: Any) -> Path:
    """A metrics file with different metrics everywhere: the n-th is start + n / 100."""
    keys = [
        f"{level}/{mask_type}/{column}"
        for level in ("image", "video")
        for mask_type in ("amodal", "visible")
        for column in COLUMNS
    ]
    values: dict[str, Any] = {key: start + number / 100 for number, key in enumerate(keys)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(values | {key.replace("__", "/"): value for key, value in changes.items()})
    )
    return path


def run_folder(
    folder: Path,
    start: float,
    *,
    method: str = "vatrack",
    backbone: str = "resnet18",
    dataset: str = "mini",
    **changes: Any,
) -> Path:
    """A run's folder with the two files that the tables need; its config has keys of another
    version, too."""
    metrics(folder / "metrics.json", start, **changes)
    config = {
        "method": method,
        "backbone": backbone,
        "dataset": {"name": dataset, "gone": 1},
        "training": {"gone": 2},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def markdown_rows(path: Path) -> list[list[str]]:
    """The cells of a table, without the line of dashes."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]
