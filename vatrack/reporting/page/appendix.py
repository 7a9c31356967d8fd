"""What the appendix tells: run times, from the benchmark files of Snakemake, and versions."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from vatrack.common.progress import duration
from vatrack.reporting.html.section import Cell, Line, Section, headings, text_style
from vatrack.reporting.page.results import RunResults

HEADS = ("Stage", "Jobs", "Total time", "Longest job", "Peak memory")
NOTE = "Measured by Snakemake for each job; trainings on a cluster include the time in the queue."


def run_times(results: Path) -> Section | None:
    """The stages that left benchmarks in a folder of results, the longest first: how often each
    ran, its times, and the most memory that one job took. None: there are no benchmarks."""
    folder = Path(results) / "benchmarks"
    found: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        name = path.relative_to(folder).parts[0].removesuffix(".tsv")
        found.setdefault(name, []).extend(_rows(path))
    totals = {name: sum(seconds for seconds, _ in rows) for name, rows in found.items() if rows}
    lines = [_line(name, found[name]) for name in sorted(totals, key=lambda name: -totals[name])]
    return Section("Run times", headings(HEADS, 1), lines, note=[NOTE]) if lines else None


def _line(name: str, jobs: Sequence[tuple[float, float]]) -> Line:
    """A stage's row, from the seconds and megabytes of its jobs; it sorts by these numbers."""
    seconds, memory = zip(*jobs, strict=True)
    times = [Cell(duration(time), order=time) for time in (sum(seconds), max(seconds))]
    peak = Cell(_memory(max(memory)), order=max(memory) or None)
    return Line([Cell(name, text_style(0)), Cell(str(len(jobs))), *times, peak])


def versions(runs: Sequence[RunResults]) -> list[tuple[list[str], dict[str, str]]]:
    """Names of runs and the versions that they have in common; runs without any are left out."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in runs:
        if run.environment:
            found.setdefault(tuple(run.environment.items()), []).append(run.name)
    return [(names, dict(environment)) for environment, names in found.items()]


def _rows(path: Path) -> Iterator[tuple[float, float]]:
    """Seconds and megabytes of a benchmark file; a short job has no memory in it."""
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            seconds, memory = _number(row.get("s")), _number(row.get("max_rss"))
            if seconds is not None:
                yield seconds, memory or 0.0


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _memory(megabytes: float) -> str:
    if not megabytes:
        return "–"
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"
