"""A comparison as one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vatrack.reporting.compare.text import cells, heads
from vatrack.reporting.html import load_template

if TYPE_CHECKING:
    from vatrack.reporting.compare import Comparison, Line, Section

TEMPLATE = Path(__file__).with_name("page.html")
NOTHING = 0.05  # a change that is shown as 0.0


def to_page(found: Comparison) -> str:
    """The page; everything that comes from files is escaped."""
    letters = [side.letter for side in found.sides]
    return load_template(TEMPLATE).render(
        found=found,
        heads=heads(letters),
        rows=_rows,
        columns=["Ground truth", *(f"{side.letter}  {side.name}" for side in found.sides)],
        losses={line.name: cells(line) for line in found.clips[0].lines} if found.clips else {},
    )


def _rows(section: Section) -> list[tuple[str, list[tuple[str, str]]]]:
    """Names of the lines, and texts with the class that says whether they are a gain or a loss."""
    return [
        (line.name, list(zip(cells(line), _marks(line), strict=True))) for line in section.lines
    ]


def _marks(line: Line) -> list[str]:
    marks = [""]
    for number in range(1, len(line.values)):
        gain = line.gain(number) or 0.0
        marks += ["", "" if abs(gain) < NOTHING else "better" if gain > 0 else "worse"]
    return marks
