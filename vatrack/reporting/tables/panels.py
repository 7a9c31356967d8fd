"""Splits a table that is too wide for a printed page into panels, one for each metric."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from vatrack.reporting.tables.table import Table

PAGE = 110  # characters that fit beside each other across a page
MOST = 12  # columns of a panel whose headings are numbers


def panels(table: Table) -> list[Table]:
    """The table, or where it is too wide for a page, a panel for each group of columns.

    Headings that still do not fit become numbers, which the note explains.
    """
    if width(table) <= PAGE or not any(column.group for column in table.columns):
        return [table]
    found = []
    for group, members in groupby(range(len(table.columns)), lambda n: table.columns[n].group):
        numbers = list(members)
        heads = [table.columns[number]._replace(group="") for number in numbers]
        name, title = f"{table.name}_{group.lower()}", f"{table.title}: {group}"
        panel = replace(table.select(numbers, heads), name=name, title=title)
        if width(panel) <= PAGE:
            found.append(panel)
            continue
        for start in range(0, len(numbers), MOST):
            chosen = range(start, min(start + MOST, len(numbers)))
            legend = "; ".join(f"{number + 1}: {heads[number].name}" for number in chosen)
            narrow = panel.select(chosen, [heads[n]._replace(name=str(n + 1)) for n in chosen])
            suffix = f"_{start // MOST + 1}" if len(numbers) > MOST else ""
            found.append(replace(narrow, name=name + suffix, note=f"{table.note} {legend}."))
    return found


def width(table: Table) -> int:
    """Characters of the longest texts of all columns and of the space between them."""
    columns = zip(table.heads, *table.shown.to_numpy().tolist(), strict=True)
    return sum(max(map(len, column)) + 2 for column in columns)
