"""Writes a table as LaTeX (rounded, best figures bold)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from vatrack.reporting.tables.model import Cell, Column, Row, Table

COLUMN = 55  # characters that fit beside each other in one of a page's two columns
PAGE = 110  # and in both together
MOST = 12  # columns of figures in a table whose headings are numbers
SIGNS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def to_latex(table: Table) -> str:
    """Floating tables with booktabs' rules: one, or where it is too wide for a page, one for each
    group of columns."""
    return "\n".join(map(_float, _parts(table)))


def _parts(table: Table) -> list[Table]:
    """The table, or one for each group of columns. Headings that still do not fit become numbers,
    which the note explains."""
    if _width(table) <= PAGE or not any(column.group for column in table.columns):
        return [table]
    parts = []
    for group, members in groupby(
        range(len(table.columns)), key=lambda place: table.columns[place].group
    ):
        places = list(members)
        alone = replace(_chosen(table, places, group), title=f"{table.title}: {group}")
        if _width(alone) <= PAGE:
            parts.append(alone)
            continue
        numbers = {place: str(number) for number, place in enumerate(places, 1)}
        for start in range(0, len(places), MOST):
            chosen = places[start : start + MOST]
            part = _chosen(
                table, chosen, group if len(places) <= MOST else f"{group}_{start // MOST + 1}"
            )
            legend = "; ".join(f"{numbers[place]}: {table.columns[place].name}" for place in chosen)
            columns = tuple(
                replace(table.columns[place], name=numbers[place], group="") for place in chosen
            )
            parts.append(
                replace(part, title=alone.title, note=f"{table.note} {legend}.", columns=columns)
            )
    return parts


def _chosen(table: Table, places: Sequence[int], suffix: str) -> Table:
    """Some columns alone, without the heading that they share."""
    return replace(
        table,
        name=f"{table.name}_{suffix.lower()}",
        columns=tuple(replace(table.columns[place], group="") for place in places),
        rows=tuple(
            replace(row, cells=tuple(row.cells[place] for place in places)) for row in table.rows
        ),
    )


def _width(table: Table) -> int:
    """Characters of the longest texts of all columns and of the space between them."""
    names = [
        [heading, *(row.names[place] for row in table.rows)]
        for place, heading in enumerate(table.headings)
    ]
    figures = [
        [column.name, *(row.cells[place].text for row in table.rows)]
        for place, column in enumerate(table.columns)
    ]
    return sum(max(map(len, texts)) + 2 for texts in names + figures)


def _float(table: Table) -> str:
    environment = "table*" if _width(table) > COLUMN else "table"
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
    return "\n".join(
        [*lines, "    \\bottomrule", "  \\end{tabular}", f"\\end{{{environment}}}", ""]
    )


def latex_text(text: str) -> str:
    """Text in which no sign has a meaning to LaTeX."""
    escaped = re.sub(r"[\\~^]|[#$%&_{}]", lambda sign: SIGNS.get(sign[0], f"\\{sign[0]}"), text)
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
