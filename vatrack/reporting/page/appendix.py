"""What the appendix tells: run times, from the benchmark files of Snakemake, and versions."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vatrack.common.progress import duration
from vatrack.reporting.page.results import RunResults


@dataclass(frozen=True)
class Stage:
    """A rule: how often it ran, its times in words, and the most memory that one job took."""

    name: str
    jobs: int
    total: str
    longest: str
    memory: str
    seconds: float


def run_times(results: Path) -> list[Stage]:
    """The stages that left benchmarks in a folder of results, the longest first."""
    folder = Path(results) / "benchmarks"
    found: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        name = path.relative_to(folder).parts[0].removesuffix(".tsv")
        found.setdefault(name, []).extend(_rows(path))
    stages = [
        Stage(
            name,
            len(rows),
            duration(sum(seconds for seconds, _ in rows)),
            duration(max(seconds for seconds, _ in rows)),
            _memory(max(memory for _, memory in rows)),
            sum(seconds for seconds, _ in rows),
        )
        for name, rows in found.items()
        if rows
    ]
    return sorted(stages, key=lambda stage: -stage.seconds)


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
