"""Writes a table as CSV (full precision), Markdown or LaTeX (rounded, best figures bold)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from vatrack.reporting.tables.model import MISSING, Cell, Column, Row, Table

WIDE = 12  # columns; more go over both columns of a page
LATEX_SIGNS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def to_csv(table: Table) -> str:
    """Comma-separated values: names as options take them; a missing figure is a dash (read with `na_values="-"`)."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.keys, *(column.key for column in table.columns)])
    for row in table.rows:
        writer.writerow([*row.key, *(MISSING if cell.value is None else repr(cell.value) for cell in row.cells)])
    return stream.getvalue()


def to_markdown(table: Table) -> str:
    """A heading, a pipe table and a note."""
    heads = [*table.headings, *(f"{column.group} {column.name}".lstrip() for column in table.columns)]
    lines = [f"### {_plain(table.title)}", "", _line(_plain(head) for head in heads)]
    lines.append("|" + "---|" * len(table.headings) + "---:|" * len(table.columns))
    for row in table.rows:
        names = [_plain(name) for name in row.names]
        if row.quoted:
            names[-1] = f"*{names[-1]}*"
        lines.append(_line([*names, *(f"**{cell.text}**" if cell.best else cell.text for cell in row.cells)]))
    return "\n".join([*lines, "", _plain(table.note), ""])


def to_latex(table: Table) -> str:
    """A floating table with booktabs' rules."""
    wide = len(table.headings) + len(table.columns) > WIDE
    environment = "table*" if wide else "table"
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{{environment}}}",
        "  \\centering",
        f"  \\caption{{{latex_text(table.title)}. {latex_text(table.note)}}}",
        f"  \\label{{tab:{table.name.replace('_', '-')}}}",
        f"  \\begin{{tabular}}{{{'l' * len(table.headings)}{'r' * len(table.columns)}}}",
        "    \\toprule",
        *_latex_head(table.headings, table.columns),
    ]
    previous = None
    for row in table.rows:
        if row.block != previous:
            lines.append("    \\midrule")
            previous = row.block
        lines.append(f"    {' & '.join([*_latex_names(row), *map(_latex_cell, row.cells)])} \\\\")
    return "\n".join([*lines, "    \\bottomrule", "  \\end{tabular}", f"\\end{{{environment}}}", ""])


def latex_text(text: str) -> str:
    """Text in which no sign has a meaning to LaTeX."""
    escaped = re.sub(r"[\\~^]|[#$%&_{}]", lambda sign: LATEX_SIGNS.get(sign[0], f"\\{sign[0]}"), text)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", escaped.replace("--", "-{}-"))


def _latex_head(headings: Sequence[str], columns: Sequence[Column]) -> list[str]:
    """The headings; above them those that neighbouring columns share."""
    lines, over, rules = [], [""] * len(headings), []
    if any(column.group for column in columns):
        first = len(headings) + 1
        for group, members in groupby(columns, key=lambda column: column.group):
            width = len(list(members))
            over.append(f"\\multicolumn{{{width}}}{{c}}{{{latex_text(group)}}}")
            rules.append(f"\\cmidrule(lr){{{first}-{first + width - 1}}}")
            first += width
        lines = [f"    {' & '.join(over)} \\\\", f"    {' '.join(rules)}"]
    names = [*headings, *(column.name for column in columns)]
    return [*lines, f"    {' & '.join(map(latex_text, names))} \\\\"]


def _latex_names(row: Row) -> list[str]:
    names = [latex_text(name) for name in row.names]
    if row.quoted:
        names[-1] = f"\\emph{{{names[-1]}}}"
    return names


def _latex_cell(cell: Cell) -> str:
    if cell.value is None:
        return "--"
    if cell.text[0] in "+-":  # a hyphen is no minus
        return f"$\\mathbf{{{cell.text}}}$" if cell.best else f"${cell.text}$"
    return f"\\textbf{{{cell.text}}}" if cell.best else cell.text


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text in which no sign has a meaning to Markdown, but for `code`."""
    return re.sub(r"([\\|*<])", r"\\\1", text)
