"""Results as JSON files, as a table, and as a part of docs/performance.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vatrack.common.files import write_text
from vatrack.common.value_files import read_json

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- {} by `python -m benchmarks --page`; do not edit -->"
END = "<!-- end of the {} -->"


def table(result: Mapping[str, Any]) -> list[str]:
    """The rows of one subject as Markdown."""
    stated = any(row["gflop"] for row in result["rows"])
    columns = ["case", "way", "stage", f"ms per {result['unit']}", "times as fast", "peak MB"]
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
    lines: list[str] = []
    for result in results:
        lines += [f"### {result['name'].capitalize()}", "", *_about(result), ""]
        lines += [*table(result), ""]
        lines += ["On a GPU: not measured.", ""] if result["gpu"] == "not measured" else []
    return "\n".join(lines)


def _about(result: Mapping[str, Any]) -> list[str]:
    """One paragraph."""
    machine, versions = result["machine"], result["machine"]["versions"]
    packages = versions["packages"]
    rates = ", ".join(f"{name} {value:g}" for name, value in machine["gflop_per_s"].items())
    instructions = ", ".join(machine["instructions"]) or "neither AVX-512 nor AMX"
    sentences = [
        f"{result['about']} Plain: {result['plain']}.",
        f"Size {result['size']}, median of {result['rounds']} rounds, {machine['date']};",
        f"{machine['processor']} with {instructions}, {machine['cores']} cores,",
        f"{machine['memory_gb']} GB; PyTorch {packages['torch']}, NumPy {packages['numpy']},",
        f"Python {versions['python']}. 10^9 a second of one thread: {rates}.",
    ]
    return textwrap.wrap(" ".join(sentences), 100, break_on_hyphens=False)


def read_results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The results in a folder, in the order of the subjects."""
    from benchmarks.__main__ import SUBJECTS

    paths = [folder / f"{name}.json" for name in SUBJECTS]
    return [read_json(path) for path in paths if path.exists()]


def switch_table(result: Mapping[str, Any] | None) -> str:
    """What `benchmarks.switches` found, as Markdown."""
    if result is None:
        return "Not measured.\n"
    about = (
        f"{result['method']}, {result['backbone']}, {result['checkpoints']} checkpoints of the "
        f"miniature dataset, {result['machine']['date']}; metrics in percent, changes in "
        "percentage points."
    )
    missing = ", ".join(f"`{name}`" for name in result["not_measured"])
    lines = [*textwrap.wrap(about, 100), "", *switch_rows(result["rows"]), ""]
    return "\n".join([*lines, *([f"Not measured: {missing}.", ""] if missing else [])])


def switch_rows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The changes of the metrics."""
    return [
        "| switch | metric | as configured | mean change | largest change |",
        "|---|---|---:|---:|---:|",
        *(
            f"| `{row['switch']}` | {row['metric']} | {row['as_configured']:.2f} | "
            f"{row['mean_move']:+.3f} | {row['largest_move']:+.3f} |"
            for row in rows
        ),
    ]


def busy_table(result: Mapping[str, Any] | None) -> str:
    """What `benchmarks.busy` found, as Markdown."""
    if result is None:
        return "Not measured.\n"
    machine = result["machine"]
    about = (
        f"Size {result['size']}, {result['threads']} threads, median of {result['rounds']} rounds, "
        f"{machine['date']}; {machine['processor']}, {machine['cores']} cores. In brackets: times "
        "as long as OpenMP's default without busy processes."
    )
    lines = textwrap.wrap(about, 100, break_on_hyphens=False)
    return "\n".join([*lines, "", *busy_rows(result["rows"]), ""])


def busy_rows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Seconds of a step by number of busy processes, and what the limit gains."""
    found: dict[int, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["busy"], {})[row["way"]] = row
    lines = [
        "| busy processes | default, s | limited, s | times as fast |",
        "|---:|---:|---:|---:|",
    ]
    for busy, ways in found.items():
        cells = [f"{row['seconds']:.2f} ({row['ratio']:.2f})" for row in ways.values()]
        gain = ways["default"]["seconds"] / ways["limited"]["seconds"]
        lines.append(f"| {busy} | {' | '.join(cells)} | {gain:.2f} |")
    return lines


def updated(page: str, folder: Path = RESULTS) -> str:
    """The page with the results of a folder in place of those between its marks."""
    parts = (("busy", "busy processes", busy_table), ("switches", "switches", switch_table))
    for name, title, shown in parts:
        path = folder / f"{name}.json"
        page = _between(page, title, shown(read_json(path) if path.exists() else None))
    return _between(page, "results", text(read_results(folder)))


def _between(page: str, name: str, content: str) -> str:
    begin, end = BEGIN.format(name), END.format(name)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    assert found and closed, f"{PAGE}: the marks of the {name} are missing"
    return f"{before}{begin}\n\n{content}\n{end}{after}"


def write_page() -> None:
    """Brings docs/performance.md in line with benchmarks/results/."""
    write_text(PAGE, updated(PAGE.read_text(encoding="utf-8")))
