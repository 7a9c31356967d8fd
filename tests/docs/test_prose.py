"""Lines have at most 100 columns in Markdown and in the workflow, where ruff does not look.

Of Markdown, tables, code and single long links are left out.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS = 100
PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "tests" / "golden" / "README.md",
]
WORKFLOW = [
    ROOT / "workflow" / "Snakefile",
    *sorted((ROOT / "workflow" / "rules").glob("*.smk")),
    *sorted((ROOT / "workflow" / "profiles").rglob("*.yaml")),
]


def long_lines(text: str) -> list[int]:
    """Numbers of the lines that could be wrapped and are not."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith(("|", "    ")):
            continue
        elif len(line) > COLUMNS and " " in line.strip():
            found.append(number)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_prose_is_wrapped(page: Path) -> None:
    assert long_lines(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", WORKFLOW, ids=lambda file: file.name)
def test_the_workflow_is_wrapped(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > COLUMNS] == []


def test_what_counts_as_prose() -> None:
    long = "word " * 21
    assert long_lines(f"short\n{long}\n") == [2]
    assert long_lines(f"```\n{long}\n```\n| {long} |\n    {long}\n{'x' * 101}\n") == []
    assert long_lines(f"```\ncode\n```\n- {long}\n") == [4]
