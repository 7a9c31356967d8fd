"""The paper's four tables (spec 6.5) from the metrics of runs: CSV (full precision), Markdown and LaTeX (one decimal)."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vatrack.config import Backbone, Method
from vatrack.errors import InputError
from vatrack.files import read_json, write_text

# Column of the paper: key of the metrics (contract 4). M is medium area; medium occlusion is in no table (quirk E6).
COLUMNS = {
    "AP": "AP",
    "AP50": "AP50",
    "P": "AP50_P",
    "H": "AP50_H",
    "L": "AP50_L",
    "M": "AP50_M",
    "S": "AP50_S",
}
TABLES = {
    "image_amodal": "Frame level, amodal masks",
    "image_visible": "Frame level, visible masks",
    "video_amodal": "Video level, amodal masks",
    "video_visible": "Video level, visible masks",
}
METHOD_NAMES = {
    Method.QDTRACK: "QDTrack",
    Method.AMODALTRACK: "AmodalTrack",
    Method.VATRACK: "VATrack",
    Method.VATRACK_2BBOX: "VATrack-2bbox",
}
BACKBONE_NAMES = {
    Backbone.RESNET18: "ResNet-18",
    Backbone.RESNET50: "ResNet-50",
    Backbone.RESNEXT101: "ResNeXt-101",
}
MEASURED, PUBLISHED = "this run", "published"
MISSING = "-"


@dataclass(frozen=True)
class Row:
    """One line of a table: `values` in percent by column, None where undefined."""

    method: Method
    backbone: Backbone
    source: str
    values: Mapping[str, float | None]


def write_tables(runs: Sequence[str], out: Path) -> str:
    """Writes the four tables of a set of runs, each as .csv, .md and .tex, with the published figures as rows of their own.

    A method appears in the tables of the masks that it predicts. A missing figure is a dash (in the CSV, too: read it with
    `na_values="-"`).

    Args:
        runs: METHOD/BACKBONE=metrics.json for every row.
        out: folder for the twelve files.

    Returns:
        The four tables in Markdown.

    Raises:
        InputError: a run is not of that form or given twice, or its file is missing or holds something else.
    """
    metrics = _read_runs(runs)
    published = _read_published()
    texts: dict[str, str] = {}
    for name, title in TABLES.items():
        kind = name.split("_")[1]
        rows = [
            Row(
                method,
                backbone,
                MEASURED,
                {column: values.get(f"{name.replace('_', '/')}/{key}") for column, key in COLUMNS.items()},
            )
            for (method, backbone), values in metrics.items()
            if kind in method.masks
        ]
        rows += published[name]
        texts[f"{name}.csv"] = _csv(rows)
        texts[f"{name}.md"] = _markdown(name, title, rows)
        texts[f"{name}.tex"] = _latex(name, title, rows)
    for file, text in texts.items():
        write_text(out / file, text)
    return "\n".join(texts[f"{name}.md"] for name in TABLES).rstrip()


def _read_runs(runs: Sequence[str]) -> dict[tuple[Method, Backbone], dict[str, float | None]]:
    """The metrics of every run, in the paper's order of methods and backbones."""
    found: dict[tuple[Method, Backbone], dict[str, float | None]] = {}
    for run in runs:
        label, equals, file = run.partition("=")
        method, slash, backbone = label.partition("/")
        if not equals or not slash or not file:
            raise InputError(f"--run {run}: must be METHOD/BACKBONE=metrics.json")
        if method not in list(Method):
            raise InputError(f"--run {run}: unknown method '{method}'; it is one of {', '.join(Method)}")
        if backbone not in list(Backbone):
            raise InputError(f"--run {run}: unknown backbone '{backbone}'; it is one of {', '.join(Backbone)}")
        key = Method(method), Backbone(backbone)
        if key in found:
            raise InputError(f"--run {run}: {label} is given twice; give each method and backbone once")
        found[key] = _read_metrics(Path(file))
    methods, backbones = list(Method), list(Backbone)
    return {key: found[key] for key in sorted(found, key=lambda key: (methods.index(key[0]), backbones.index(key[1])))}


def _read_metrics(path: Path) -> dict[str, float | None]:
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a metrics file; make it with `vatrack evaluate`")
    for key, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not number:
            raise InputError(f"{path}: '{key}' is {value!r}, not a number or null; make the file with `vatrack evaluate`")
    return values


def _read_published() -> dict[str, list[Row]]:
    text = resources.files("vatrack.reporting").joinpath("published.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    backbone = Backbone(document["backbone"])
    return {
        name: [
            Row(Method(method), backbone, PUBLISHED, dict(zip(document["columns"], values, strict=True)))
            for method, values in rows.items()
        ]
        for name, rows in document["tables"].items()
    }


def _csv(rows: Sequence[Row]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["method", "backbone", *COLUMNS, "source"])
    for row in rows:
        values = [MISSING if row.values[column] is None else repr(row.values[column]) for column in COLUMNS]
        writer.writerow([row.method.value, row.backbone.value, *values, row.source])
    return stream.getvalue()


def _markdown(name: str, title: str, rows: Sequence[Row]) -> str:
    header = ["Method", "Backbone", *_headings(name), "Source"]
    lines = [f"### {title}", "", "| " + " | ".join(header) + " |", "|---|---|" + "---:|" * len(COLUMNS) + "---|"]
    for row, cells in zip(rows, _cells(rows, lambda text: f"**{text}**"), strict=True):
        source = row.source if row.source == MEASURED else f"*{row.source}, SAIL-VOS-cut*"
        lines.append(f"| {METHOD_NAMES[row.method]} | {BACKBONE_NAMES[row.backbone]} | {' | '.join(cells)} | {source} |")
    return "\n".join([*lines, "", _note(name), ""])


def _latex(name: str, title: str, rows: Sequence[Row]) -> str:
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{title}. {_note(name).replace('%', chr(92) + '%')}}}",
        f"  \\label{{tab:{name.replace('_', '-')}}}",
        f"  \\begin{{tabular}}{{ll{'r' * len(COLUMNS)}l}}",
        "    \\toprule",
        "    " + " & ".join(["Method", "Backbone", *_headings(name), "Source"]) + r" \\",
        "    \\midrule",
    ]
    previous = rows[0].source if rows else MEASURED
    for row, cells in zip(rows, _cells(rows, lambda text: f"\\textbf{{{text}}}"), strict=True):
        if row.source != previous:
            lines.append("    \\midrule")
            previous = row.source
        source = row.source if row.source == MEASURED else f"\\emph{{{row.source}, SAIL-VOS-cut}}"
        cells = ["--" if text == MISSING else text for text in cells]
        lines.append("    " + " & ".join([METHOD_NAMES[row.method], BACKBONE_NAMES[row.backbone], *cells, source]) + r" \\")
    return "\n".join([*lines, "    \\bottomrule", "  \\end{tabular}", "\\end{table}", ""])


def _headings(name: str) -> list[str]:
    level = name.split("_")[0]
    return [f"v{column}" if level == "video" and column.startswith("AP") else column for column in COLUMNS]


def _note(name: str) -> str:
    average = _headings(name)[0]
    return (
        f"Mask AP in %: {average} over IoU 0.50 to 0.95, the others at IoU 0.5; P, H: partial and heavy occlusion; "
        "L, M, S: large, medium, small area. Published rows are the authors' figures for SAIL-VOS-cut with ResNeXt-101, "
        "not measured here and comparable only with runs on that data set."
    )


def _cells(rows: Sequence[Row], bold: Callable[[str], str]) -> list[list[str]]:
    """Figures with one decimal; the best of each column in bold where there are several measured rows."""
    shown = [[MISSING if (value := row.values[column]) is None else f"{value:.1f}" for column in COLUMNS] for row in rows]
    measured = [number for number, row in enumerate(rows) if row.source == MEASURED]
    if len(measured) < 2:
        return shown
    for column in range(len(COLUMNS)):
        texts = [shown[number][column] for number in measured if shown[number][column] != MISSING]
        # Figures that look the same are equally good.
        best = max(texts, key=float, default=None)
        for number in measured:
            if shown[number][column] == best:
                shown[number][column] = bold(shown[number][column])
    return shown
