"""The tables of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from vatrack.evaluation.key_metrics import HOTA, IMAGE_AP50, VIDEO_AP50
from vatrack.reporting.html.section import Cell, Line, Section, headings, text_style
from vatrack.reporting.page.results import HIDDEN, LABELS, RunResults, Shown
from vatrack.reporting.tables import make_tables
from vatrack.reporting.tables.names import with_warning
from vatrack.reporting.tables.page import to_section
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.tables.table import Table

MOST_CARDS = 8  # runs
MOST_ROWS = 200  # of one table; more are in its CSV file
# What a key metric is, by the beginning of its label.
MEANINGS = {
    VIDEO_AP50.short: "AP of tracks at IoU 0.5",
    IMAGE_AP50.short: "AP of single frames at IoU 0.5",
    HOTA.short: "quality of detection and tracking, by masks",
    HIDDEN: "mean IoU of the hidden parts (amodal minus visible mask) of detected objects",
}


def table_sections(
    runs: Sequence[Run], folder: Path, *, means: bool = True
) -> tuple[list[Section], dict[str, list[tuple[str, Section]]]]:
    """The paper's four tables; and all others that have rows, by headings, each with its name below
    its heading. Those of the video level come first. `folder`: that of the page."""
    made = make_tables(runs, means=means)
    paper = [_section(table, folder) for table in sorted(made.paper, key=_order)]
    # What is said of several tables stands below the last of them.
    paper = [
        replace(own, note=()) if own.note == following.note else own
        for own, following in pairwise(paper)
    ] + paper[-1:]
    further = {
        "Beyond the paper": made.further,
        "By class": sorted(made.classes, key=_order),
        "By video": sorted(made.videos, key=_order),
    }
    named = {
        heading: [
            (_below(table, heading, runs), _section(table, folder))
            for table in tables
            if table.rows
        ]
        for heading, tables in further.items()
    }
    return paper, {heading: tables for heading, tables in named.items() if tables}


def _section(table: Table, folder: Path) -> Section:
    csv = f"tables/{table.name}.csv"
    found = to_section(table, MOST_ROWS)
    return replace(found, csv=csv) if (folder / csv).is_file() else found


def _order(table: Table) -> tuple[bool, bool]:
    """For sorting: tables of the video level, of frames, of tracking."""
    return "track_" in table.name, "image_" in table.name


def _below(table: Table, heading: str, runs: Sequence[Run]) -> str:
    """A table's title without what its heading says, nor the name of the only run."""
    name = table.title.replace(f", {heading.lower()}", "")
    return name.partition(": ")[0] if len(runs) == 1 else name


def key_table(runs: Sequence[RunResults]) -> Section | None:
    """The key metrics as a table, for more runs than have room as cards."""
    if len(runs) <= MOST_CARDS:
        return None
    labels = [name for name in LABELS if any(name in run.by_name for run in runs)]
    heads = headings(["Run", "Backbone", "Dataset", *labels], 3)
    lines = []
    for run in runs:
        names = [run.name, run.backbone, run.dataset]
        cells = [Cell(name, text_style(column)) for column, name in enumerate(names)]
        cells += [_key_cell(run.by_name.get(name)) for name in labels]
        why = run.why.removeprefix("Chosen: ")
        cells.append(Cell(why[:1].upper() + why[1:], "text wrap"))
        more = [name for name in names[1:] if name not in run.name]
        lines.append(Line(cells, ", ".join(more), colour=run.colour))
    return Section("Key metrics", [*heads, Cell("Why this epoch", "text")], lines, 3)


def key_note(runs: Sequence[RunResults]) -> str:
    """What the key metrics that the page shows are, whether the best are marked, and which runs
    were evaluated otherwise."""
    shown = [metric for run in runs for metric in run.key_metrics]
    names = {metric.name.partition(",")[0] for metric in shown}
    texts = [f"{name}: {meaning}." for name, meaning in MEANINGS.items() if name in names]
    marked = ["The best value of all runs on a dataset is marked."]
    note = " ".join(texts + marked * any(metric.best for metric in shown))
    return with_warning(note, [own.run for own in runs])


def _key_cell(metric: Shown | None) -> Cell:
    return Cell(metric.text, "best" * metric.best, metric.order) if metric else Cell("–")
