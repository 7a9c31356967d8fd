"""Tables as one web page, for the report."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import groupby

from vatrack.reporting.tables.model import Row, Table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff;
  margin: 1.5rem; max-width: 80rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th { font-weight: 600; }
tr.line { border-top: 1px solid; }
th, td { padding: .25rem .75rem; text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.group { text-align: center; }
p { font-size: .85rem; color: #555; }
"""


def to_page(tables: Sequence[Table]) -> str:
    """One HTML document with all tables, as readers see them."""
    body = "\n".join(
        f"<h2>{_text(table.title)}</h2>\n{_table(table)}\n<p>{_text(table.note)}</p>"
        for table in tables
    )
    head = f'<meta charset="utf-8"><title>VATrack: tables</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _table(table: Table) -> str:
    lines = ["<table>"]
    if any(column.group for column in table.columns):
        cells = ["<th></th>"] * len(table.headings)
        for group, members in groupby(table.columns, key=lambda column: column.group):
            cells.append(f'<th class="group" colspan="{len(list(members))}">{_text(group)}</th>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = [f"<th>{_text(heading)}</th>" for heading in table.headings]
    heads += [f'<th class="number">{_text(column.name)}</th>' for column in table.columns]
    lines.append(f"<tr>{''.join(heads)}</tr>")
    previous = None
    for row in table.rows:
        kind = ' class="line"' if row.block != previous else ""
        previous = row.block
        lines.append(f"<tr{kind}>{''.join(_cells(row))}</tr>")
    return "\n".join([*lines, "</table>"])


def _cells(row: Row) -> list[str]:
    names = [_text(name) for name in row.names]
    if row.quoted:
        names[-1] = f"<em>{names[-1]}</em>"
    figures = [f"<b>{cell.text}</b>" if cell.best else cell.text for cell in row.cells]
    return [
        *(f"<td>{name}</td>" for name in names),
        *(f'<td class="number">{text}</td>' for text in figures),
    ]


def _text(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))
