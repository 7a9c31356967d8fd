"""A comparison as aligned text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vatrack.reporting.tables.table import as_text

if TYPE_CHECKING:
    from vatrack.reporting.compare import Comparison, Line, Section


def to_text(found: Comparison) -> str:
    """The runs, then a table by metric, those by class, and those by clip."""
    letters = [side.letter for side in found.sides]
    texts = ["\n".join(f"{side.letter}  {side.name}  ({side.folder.path})" for side in found.sides)]
    texts += [_table(found.metrics, letters, "Metrics")]
    texts += [_table(section, letters, f"Classes: {section.metric}") for section in found.classes]
    for section in found.clips if found.clips_shown is None else found.clips[:1]:
        title = f"Clips: {section.metric}, largest drop first"
        texts.append(_table(section, letters, title, found.clips_shown))
    texts += [f"note: {note}" for note in found.notes]
    return "\n\n".join(texts)


def heads(letters: Sequence[str]) -> list[str]:
    """The headings of the values: the first run, then each other one and its change."""
    first, *others = letters
    return [first, *(head for other in others for head in (other, f"{other} - {first}"))]


def cells(line: Line) -> list[str]:
    """The texts below these headings."""
    texts = [as_text(line.values[0], line.decimals)]
    for number in range(1, len(line.values)):
        texts += [
            as_text(line.values[number], line.decimals),
            as_text(line.change(number), line.decimals, signed=True),
        ]
    return texts


def _table(section: Section, letters: Sequence[str], title: str, most: int | None = None) -> str:
    lines = section.lines[:most]
    rows = [[section.what, *heads(letters)], *([line.name, *cells(line)] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = [
        "  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]).rstrip()
        for row in rows
    ]
    if more := len(section.lines) - len(lines):
        shown.append(f"and {more} more")
    return "\n".join([title, *shown])
