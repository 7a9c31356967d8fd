"""Tables on a web page: as sections of the report, and all on a page of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vatrack.reporting.html import render
from vatrack.reporting.html.section import Cell, Line, Section, headings, spans, text_style
from vatrack.reporting.tables.table import Table, one_line, typeset

TEMPLATE = Path(__file__).with_name("tables.html.j2")


def to_page(tables: Sequence[Table]) -> str:
    """One HTML document with all tables, as readers see them."""
    return render(TEMPLATE, title="Tables", sections=[to_section(table) for table in tables])


def to_section(table: Table, most: int | None = None) -> Section:
    """A table with what the template needs to know; at most so many of its rows."""
    texts = len(table.headings)
    shown, styles = table.shown.to_numpy().tolist(), table.style.to_numpy().tolist()
    lines = []
    for row, rule, text, style in list(zip(table.rows, table.rules, shown, styles, strict=True))[
        :most
    ]:
        extra = " quoted" * row.quoted + " signed" * row.signed
        cells = [Cell(one_line(t), text_style(n) + extra) for n, t in enumerate(text[:texts])]
        cells += [
            Cell(typeset(value), f"{mark}{extra}".strip())
            for value, mark in zip(text[texts:], style[texts:], strict=True)
        ]
        # A difference stands below its run, which has told the rest.
        names = [cell.text for cell in cells[texts - 1 if row.signed else 1 : texts]]
        lines.append(Line(cells, ", ".join(names), row.signed, rule))
    return Section(
        table.title,
        headings(table.heads, texts),
        lines,
        texts,
        spans([column.group for column in table.columns]),
        table.name,
        re.split("`([^`]*)`", table.note),
        len(table.rows) - len(lines),
    )
