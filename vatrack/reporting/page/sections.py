"""The tables of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from vatrack.reporting.tables.breakdown import class_table, video_table
from vatrack.reporting.tables.extended import extended_tables
from vatrack.reporting.tables.paper import TITLES as PAPER
from vatrack.reporting.tables.paper import paper_table
from vatrack.reporting.tables.published import read_published
from vatrack.reporting.tables.runs import Run
from vatrack.reporting.tables.table import MISSING, Table
from vatrack.reporting.tables.tracking import TITLES as TRACKING
from vatrack.reporting.tables.tracking import tracking_table

MOST_ROWS = 200  # of one table; more are in its CSV file


@dataclass(frozen=True)
class Cell:
    """A cell: its text and its classes of style."""

    text: str
    style: str


@dataclass(frozen=True)
class Line:
    """A row: whether it stays below the row before it, and whether a rule is drawn above it."""

    cells: list[Cell]
    follows: bool
    rule: bool


@dataclass(frozen=True)
class Section:
    """A table as the template shows it.

    `groups` are (text, columns) above the heads and empty where there is none; `note` alternates
    between text and code; `left_out` rows are in the CSV file alone.
    """

    name: str
    title: str
    note: list[str]
    groups: list[tuple[str, int]]
    heads: list[str]
    texts: int
    lines: list[Line]
    left_out: int


def table_sections(
    runs: Sequence[Run], *, means: bool = True
) -> tuple[list[Section], list[Section]]:
    """The paper's four tables, and all others that have rows: by video level first."""
    published = read_published()
    order = sorted(PAPER, key=lambda name: not name.startswith("video"))
    paper = [section(paper_table(name, runs, published, means=means)) for name in order]
    further = [tracking_table(name, runs, means=means) for name in TRACKING]
    further += extended_tables(runs, means=means)
    if any(run.details for run in runs):
        further += [class_table(name, runs) for name in (*order, *TRACKING)]
        further += [video_table(name, runs) for name in (*order, *TRACKING)]
    return paper, [section(table) for table in further if table.rows]


def section(table: Table) -> Section:
    """A table with what the template needs to know."""
    texts = len(table.headings)
    lines: list[Line] = []
    block = table.rows[0].block if table.rows else ""
    content = zip(table.rows, table.shown.to_numpy(), table.style.to_numpy(), strict=True)
    for row, shown, style in list(content)[:MOST_ROWS]:
        extra = " quoted" * row.quoted + " signed" * row.signed
        cells = [
            Cell(
                "–" if text == MISSING else _minus(str(text), place >= texts),
                (f"{mark}{extra}" if place >= texts or mark != "best" else "").strip(),
            )
            for place, (text, mark) in enumerate(zip(shown, style, strict=True))
        ]
        lines.append(Line(cells, row.signed, row.block != block))
        block = row.block
    groups = [*("" for _ in table.headings), *(column.group for column in table.columns)]
    return Section(
        table.name,
        table.title,
        re.split("`([^`]*)`", table.note),
        [(name, len(list(members))) for name, members in groupby(groups)] if any(groups) else [],
        table.heads,
        texts,
        lines,
        max(0, len(table.rows) - MOST_ROWS),
    )


def _minus(text: str, is_number: bool) -> str:
    return re.sub(r"^-(?=\d)", "\u2212", text) if is_number else text
