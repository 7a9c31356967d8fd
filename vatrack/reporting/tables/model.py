"""What a table is, before it is written as CSV, Markdown, LaTeX or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

MISSING = "-"


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        value: at full precision; None where it is undefined or was not measured.
        decimals: how many readers see.
        signed: a difference, shown with its sign.
        best: the best of those that it competes with.
    """

    value: float | None
    decimals: int = 1
    signed: bool = False
    best: bool = False

    @property
    def text(self) -> str:
        """As readers see it: rounded, or a dash."""
        if self.value is None:
            return MISSING
        text = f"{self.value:.{self.decimals}f}"
        if float(text) == 0:
            return text.removeprefix("-")
        return f"+{text}" if self.signed and self.value > 0 else text


@dataclass(frozen=True)
class Column:
    """A column of figures: its heading in the CSV and the one that readers see, below `group` where
    neighbours share one."""

    key: str
    name: str
    group: str = ""


@dataclass(frozen=True)
class Row:
    """A line: its texts for the CSV (`key`) and for readers (`names`), its figures, one for each
    column.

    A line is drawn where `block` changes; `quoted` rows are not measured here.
    """

    key: tuple[str, ...]
    names: tuple[str, ...]
    cells: tuple[Cell, ...]
    block: str = ""
    quoted: bool = False


@dataclass(frozen=True)
class Table:
    """A table with the name of its files; `keys` and `headings` stand above the texts of its rows
    (see `Row`)."""

    name: str
    title: str
    note: str
    keys: tuple[str, ...]
    headings: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def mark_best(cells: Sequence[Cell], *, lowest: bool = False) -> list[Cell]:
    """Marks the best of cells that compete. Figures that look the same are equally good; one alone
    beats nobody."""
    texts = [cell.text for cell in cells if cell.value is not None]
    if len(cells) < 2 or not texts:
        return list(cells)
    best = (min if lowest else max)(texts, key=float)
    return [replace(cell, best=cell.text == best) for cell in cells]
