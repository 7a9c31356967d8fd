"""A comparison as one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from vatrack.reporting.compare.comparison import Comparison, Line, Section, cells, heads
from vatrack.reporting.html import render
from vatrack.reporting.html import section as html
from vatrack.reporting.tables.names import dataset_name
from vatrack.reporting.tables.table import typeset

TEMPLATE = Path(__file__).with_name("compare.html.j2")
NOTHING = 0.05  # a change that is shown as 0.0


def to_page(found: Comparison) -> str:
    """The page; everything that comes from files is escaped."""
    letters = [side.letter for side in found.sides]
    dataset = found.sides[0].run.dataset
    return render(
        TEMPLATE,
        title="Run comparison",
        found=found,
        dataset=dataset_name(dataset) if dataset else "",
        heads=_heads(letters),
        metrics=_table(found.metrics, letters, "Metrics"),
        classes=[_table(section, letters, section.metric) for section in found.classes],
        clips=[_table(section, letters, f"Clips by {section.metric}") for section in found.clips],
        columns=["Ground truth", *(f"{side.letter}  {side.name}" for side in found.sides)],
        losses={line.name: _texts(line) for line in found.clips[0].lines} if found.clips else {},
    )


def _heads(letters: list[str]) -> list[str]:
    return [head.replace(" - ", "\u00a0\u2212\u00a0") for head in heads(letters)]


def _texts(line: Line) -> list[str]:
    return [typeset(text) for text in cells(line)]


def _table(section: Section, letters: list[str], title: str) -> html.Section:
    """The section with marks of what is a gain or a loss."""
    lines = []
    for line in section.lines:
        pairs = zip(_texts(line), _marks(line), strict=True)
        shown = [html.Cell(text, mark) for text, mark in pairs]
        lines.append(html.Line([html.Cell(line.name, html.text_style(0)), *shown]))
    names = [section.what.capitalize(), *_heads(letters)]
    return html.Section(title, html.headings(names, 1), lines)


def _marks(line: Line) -> list[str]:
    marks = [""]
    for number in range(1, len(line.values)):
        gain = line.gain(number) or 0.0
        marks += ["", "" if abs(gain) < NOTHING else "better" if gain > 0 else "worse"]
    return marks
