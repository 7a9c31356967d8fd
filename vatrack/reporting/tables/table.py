"""What a table is, before `writers` writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd

MISSING = "-"
MINUS_ONE = "Undefined values (-1 in pycocotools) are shown as a dash."


class Column(NamedTuple):
    """A column of metrics: its heading in the CSV (`key`) and the one that readers see (`name`).

    Neighbours may share a heading above theirs (`group`). Values are rounded to `decimals`; the
    lowest or the highest is best.
    """

    key: str
    name: str
    group: str = ""
    decimals: int = 1
    lowest: bool = False


class Row(NamedTuple):
    """A row: its texts for the CSV (`key`) and for readers (`names`), and a value a column.

    A value has full precision; it is None where undefined or not measured, and NaN where the file
    says -1 for that. A rule is drawn where `block` changes. The values of a `signed` row are
    differences; those of a `quoted` row were not measured here. The values of a row with a `spread`
    are means, and it has their standard deviations, which are a row of their own in the CSV, with
    the texts `spread_key`.
    """

    key: Sequence[str]
    names: Sequence[str]
    values: Sequence[float | None]
    block: str = ""
    signed: bool = False
    quoted: bool = False
    spread: Sequence[float | None] = ()
    spread_key: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table with the name of its files.

    `texts` {key: heading} are the columns of texts that name a row: in the CSV, and for readers,
    where the heading is not empty. `shown` [rows, heads] is what readers see; `style` of the same
    shape says what is "best", which names are "quoted"; both number their columns.
    """

    name: str
    title: str
    note: str
    texts: Mapping[str, str]
    columns: Sequence[Column]
    rows: Sequence[Row]
    shown: pd.DataFrame
    style: pd.DataFrame

    @property
    def headings(self) -> list[str]:
        """What readers see above the texts of the rows."""
        return [heading for heading in self.texts.values() if heading]

    @property
    def heads(self) -> list[str]:
        """What readers see above all columns."""
        return [*self.headings, *(column.name for column in self.columns)]

    @property
    def rules(self) -> list[bool]:
        """For each row whether a rule is drawn above it."""
        blocks = [row.block for row in self.rows]
        return [own != before for before, own in zip(blocks[:1] + blocks, blocks, strict=False)]

    def select(self, chosen: Sequence[int], columns: Sequence[Column]) -> Table:
        """The table with the chosen columns of metrics alone, which may have other headings."""
        first = len(self.headings)
        kept = [*range(first), *(first + number for number in chosen)]
        shown, style = (
            frame[kept].set_axis(range(len(kept)), axis=1) for frame in (self.shown, self.style)
        )
        rows = [
            row._replace(
                values=[row.values[number] for number in chosen],
                spread=[row.spread[number] for number in chosen] if row.spread else (),
            )
            for row in self.rows
        ]
        return replace(self, columns=columns, rows=rows, shown=shown, style=style)


def make_table(
    name: str,
    title: str,
    note: str,
    texts: Mapping[str, str],
    columns: Sequence[Column],
    rows: Sequence[Row],
    across: Sequence[str] = (),
) -> Table:
    """Rounds the values and marks the best.

    The measured rows of a block compete in each column. Where `across` has a text for each column,
    columns of equal text compete in each row instead. Values that look the same are equally good;
    where all do, none is marked. The other arguments: see `Table`.
    """
    text = pd.DataFrame(
        [
            [
                as_text(v, max(c.decimals, int(bool(row.spread))), row.signed)
                for v, c in zip(row.values, columns, strict=True)
            ]
            for row in rows
        ],
        range(len(rows)),
        range(len(columns)),
        dtype=object,
    )
    signs = [-1 if column.lowest else 1 for column in columns]
    numbers = text.apply(pd.to_numeric, errors="coerce").mul(signs)
    if across:
        best = _highest(numbers.T, across).T
    else:
        measured = [number for number, row in enumerate(rows) if not (row.signed or row.quoted)]
        best = _highest(numbers.loc[measured], [rows[number].block for number in measured])
    headings = [heading for heading in texts.values() if heading]
    names = pd.DataFrame([row.names for row in rows], text.index, range(len(headings)))
    spread = pd.DataFrame(
        [_spread(row, columns) for row in rows], text.index, text.columns, dtype=object
    )
    shown = pd.concat([names, text + spread], axis=1, ignore_index=True)
    best = best.rename(columns=lambda number: number + len(headings)).reindex_like(shown).eq(True)
    style = pd.DataFrame("", shown.index, shown.columns).mask(best, "best")
    style.loc[[row.quoted for row in rows], len(headings) - 1] = "quoted"
    if any(value != value for row in rows for value in row.values):
        note = f"{note} {MINUS_ONE}"
    return Table(name, title, note, texts, columns, rows, shown, style)


def _spread(row: Row, columns: Sequence[Column]) -> list[str]:
    """What stands after the values of a row: the standard deviations of means, else nothing."""
    return [
        "" if value is None else f" ± {as_text(value, max(column.decimals, 1))}"
        for value, column in zip(row.spread or [None] * len(columns), columns, strict=True)
    ]


def as_text(value: float | None, decimals: int = 1, signed: bool = False) -> str:
    """A value as readers see it: rounded, or a dash; never -0.0."""
    if value is None or value != value:
        return MISSING
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def one_line(text: str) -> str:
    """The text without line breaks and other control characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)


def typeset(text: str) -> str:
    """The text of a value on a page: with a minus sign, or an en dash where it is missing."""
    return "–" if text == MISSING else re.sub(r"^-(?=\d)", "\u2212", text)


def _highest(numbers: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Which numbers are the highest in their column among the rows of their group; none where
    several are there and all are equal."""
    labels = pd.Series(groups, numbers.index, dtype=object)
    several = labels.duplicated(keep=False)
    numbers, labels = numbers[several], labels[several]
    grouped = numbers.groupby(labels)
    best, least, count = (grouped.transform(name) for name in ("max", "min", "count"))
    return numbers.eq(best) & (best.gt(least) | count.eq(1))
