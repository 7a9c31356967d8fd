"""What a comparison of runs found, and how it reads as aligned text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vatrack.reporting.compare.clip_images import Clip, ClipImages
from vatrack.reporting.compare.read import Side
from vatrack.reporting.tables.table import as_text

PAGE, TEXT = "compare.html", "compare.txt"


class Line(NamedTuple):
    """A metric, class or clip: its values in the runs, in their order; None where undefined."""

    name: str
    values: tuple[float | None, ...]
    decimals: int = 1
    lowest: bool = False

    def change(self, number: int) -> float | None:
        """How far a run is from the first one."""
        first, other = self.values[0], self.values[number]
        return None if first is None or other is None else other - first

    def gain(self, number: int) -> float | None:
        """The change; below zero where the run is worse than the first one."""
        change = self.change(number)
        return change if change is None or not self.lowest else -change

    @property
    def loss(self) -> float:
        """How much worse the worst of the later runs is than the first; below zero: better."""
        gains = [self.gain(number) for number in range(1, len(self.values))]
        return max((-gain for gain in gains if gain is not None), default=float("-inf"))


class Section(NamedTuple):
    """A table: `what` is in its rows; `metric` is empty where each row is one."""

    what: str
    metric: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Comparison:
    """What `compare_runs` found.

    Attributes:
        metrics: all that both runs have; `classes`, `clips`: a table for each evaluation, of
            `HEADLINES`. The first table of clips is that of the metric `by`; its lines are sorted,
            the largest drop first.
        clips_shown: how many clips the text shows; None: all.
        drawn: the clips of the page, with predictions from `score` on; `notes`: what is missing,
            and why.
    """

    sides: tuple[Side, ...]
    metrics: Section
    classes: tuple[Section, ...]
    clips: tuple[Section, ...]
    by: str
    drawn: tuple[Clip, ...]
    notes: tuple[str, ...]
    out: Path | None = None
    clips_shown: int | None = None
    score: float = ClipImages.score

    def __str__(self) -> str:
        text = self.text
        return f"{text}\n\nwrote {self.out / TEXT}, {self.out / PAGE}" if self.out else text

    @property
    def text(self) -> str:
        """The runs, then a table by metric, those by class, and those by clip, aligned."""
        letters = [side.letter for side in self.sides]
        texts = ["\n".join(f"{s.letter}  {s.name}  ({s.folder.path})" for s in self.sides)]
        texts += [_table(self.metrics, letters, "Metrics")]
        texts += [_table(own, letters, f"Classes: {own.metric}") for own in self.classes]
        for own in self.clips if self.clips_shown is None else self.clips[:1]:
            title = f"Clips: {own.metric}, largest drop first"
            texts.append(_table(own, letters, title, self.clips_shown))
        texts += [f"note: {note}" for note in self.notes]
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
