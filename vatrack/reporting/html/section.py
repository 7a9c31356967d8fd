"""A table as `table.html.j2` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Cell:
    """A cell: its text, its classes of style, and what it sorts by where that is not the text."""

    text: str
    style: str = ""
    order: float | None = None


@dataclass(frozen=True)
class Line:
    """A row.

    Attributes:
        cells: one for each heading.
        names: what stands below the first cell's text where there is no room for columns of text.
        follows: whether it stays below the row before it when the table is sorted.
        rule: whether a rule is drawn above it.
        colour: class of the swatch before its first text.
    """

    cells: list[Cell]
    names: str = ""
    follows: bool = False
    rule: bool = False
    colour: str = ""

    @property
    def style(self) -> str:
        """The row's classes."""
        return " ".join(["rule"] * self.rule + ["follows"] * self.follows)


@dataclass(frozen=True)
class Section:
    """A table.

    Attributes:
        name: what tells it from others, for links to it.
        note: text below it, alternating with code.
        heads: of all columns, `texts` of which are texts; `groups`: (text, columns) above the
            others, empty where there is none.
        left_out: rows that are in the CSV file alone; `csv`: where it is, empty: it is not there.
    """

    title: str
    heads: list[Cell]
    lines: list[Line]
    texts: int = 1
    groups: Sequence[tuple[str, int]] = ()
    name: str = ""
    note: Sequence[str] = ()
    left_out: int = 0
    csv: str = ""


def text_style(column: int) -> str:
    """The classes of a column of text: all but the first give way on a narrow screen."""
    return "text" if column == 0 else "text more"


def headings(names: Sequence[str], texts: int) -> list[Cell]:
    """The headings of a table, the first `texts` of them above columns of text."""
    return [
        Cell(name, text_style(index) if index < texts else "") for index, name in enumerate(names)
    ]


def spans(groups: Sequence[str]) -> list[tuple[str, int]]:
    """Headings above those of columns, each with how many neighbours share it; empty: none."""
    found = [(name, len(list(members))) for name, members in groupby(groups)]
    return found if any(groups) else []
