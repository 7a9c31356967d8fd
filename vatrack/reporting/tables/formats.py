"""Writes a table as CSV (full precision) or Markdown (rounded, best figures bold); LaTeX is in
`latex`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from vatrack.reporting.tables.model import MISSING, Table


def to_csv(table: Table) -> str:
    """Comma-separated values: names as options take them; a missing figure is a dash (read with
    `na_values="-"`)."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.keys, *(column.key for column in table.columns)])
    for row in table.rows:
        writer.writerow(
            [*row.key, *(MISSING if cell.value is None else repr(cell.value) for cell in row.cells)]
        )
    return stream.getvalue()


def to_markdown(table: Table) -> str:
    """A heading, a pipe table and a note."""
    heads = [
        *table.headings,
        *(f"{column.group} {column.name}".lstrip() for column in table.columns),
    ]
    lines = [f"### {_plain(table.title)}", "", _line(_plain(head) for head in heads)]
    lines.append("|" + "---|" * len(table.headings) + "---:|" * len(table.columns))
    for row in table.rows:
        names = [_plain(name) for name in row.names]
        if row.quoted:
            names[-1] = f"*{names[-1]}*"
        lines.append(
            _line([*names, *(f"**{cell.text}**" if cell.best else cell.text for cell in row.cells)])
        )
    return "\n".join([*lines, "", _plain(table.note), ""])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text in which no sign has a meaning to Markdown, but for `code`."""
    return re.sub(r"([\\|*<])", r"\\\1", text)
