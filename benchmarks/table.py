"""Results as JSON files, as a table, and as a part of docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vatrack.common.files import read_json, write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- made by `python -m benchmarks --page`; do not edit -->"
END = "<!-- end of what is made -->"


def table(result: Mapping[str, Any]) -> list[str]:
    """The rows of one subject as Markdown."""
    stated = any(row["gflop"] for row in result["rows"])
    columns = ["case", "way", "stage", f"ms a {result['unit']}", "times as fast", "peak MB"]
    columns += ["GFLOP", "GFLOP/s"] if stated else []
    lines = [
        "| " + " | ".join(columns) + " |",
        "|---|---|---|" + "---:|" * (len(columns) - 3),
    ]
    for row in result["rows"]:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        cells = [row["case"], row["way"], row["stage"], _number(1000 * row["seconds"]), ratio]
        cells.append(f"{row['peak_mb']:.0f}" if row["stage"] == "all" else "")
        if stated:
            gflop = row["gflop"]
            rate = gflop / row["seconds"] if gflop and row["seconds"] else None
            cells += ["" if not value else _number(value) for value in (gflop, rate)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _number(value: float) -> str:
    """Three digits, as many as a measurement deserves."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def text(results: Iterable[Mapping[str, Any]]) -> str:
    """All results as Markdown, each with what it was measured on."""
    parts: list[str] = []
    for result in results:
        parts += [f"### {result['name'].capitalize()}", "", *_about(result), ""]
        parts += [*table(result), ""]
        parts += ["On a GPU: not measured.", ""] if result["gpu"] == "not measured" else []
    return "\n".join(parts)


def _about(result: Mapping[str, Any]) -> list[str]:
    machine = result["machine"]
    versions = machine["versions"]
    packages = versions["packages"]
    rates = ", ".join(f"{name} {value:g}" for name, value in machine["gflop_per_s"].items())
    return [
        f"{result['about']} Plain: {result['plain']}.",
        f"Size {result['size']}, median of {result['rounds']} rounds, {machine['date']}, "
        f"{machine['processor']} ({machine['cores']} cores, {machine['memory_gb']} GB),",
        f"PyTorch {packages['torch']}, NumPy {packages['numpy']}, Python {versions['python']}.",
        *([f"The machine's rates, 10^9 a second of one thread: {rates}."] if rates else []),
    ]


def read_results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The results in a folder, in the order of the subjects."""
    from benchmarks.__main__ import SUBJECTS

    paths = [folder / f"{name}.json" for name in SUBJECTS]
    return [read_json(path) for path in paths if path.exists()]


def with_results(page: str, results: Sequence[Mapping[str, Any]]) -> str:
    """The page with these results in place of those between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, f"{PAGE}: the marks of the results are missing"
    return f"{before}{BEGIN}\n\n{text(results)}\n{END}{after}"


def write_page() -> None:
    """Brings docs/performance.md in line with benchmarks/results/."""
    write_text(PAGE, with_results(PAGE.read_text(encoding="utf-8"), read_results()))
