"""Every command of README, CONTRIBUTING and docs/, and how it is tested.

python -m tests.docs.commands prints the list.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PROGRAMS = "vatrack|snakemake|make|mlflow|python|pip|torchrun|source|uv|export"
COMMAND = re.compile(rf"(?:\.venv/bin/)?(?:{PROGRAMS}|tests/\S+) .+")


@dataclass(frozen=True)
class Documented:
    """A command of a page; `in_block`: it stands in a block of code, else between backticks."""

    page: str
    command: str
    in_block: bool


def commands_of(text: str) -> Iterator[tuple[str, bool]]:
    """The commands of a page, in one line each, without comments."""
    for language, code in FENCE.findall(text):
        if language in ("", "sh"):
            for line in code.replace("\\\n", " ").splitlines():
                words = " ".join(re.split(r"\s#", line)[0].split())
                if COMMAND.fullmatch(words):
                    yield words, True
    for quoted in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        words = " ".join(quoted.split())
        if COMMAND.fullmatch(words):
            yield words, False


def documented() -> list[Documented]:
    """All of them, in the order of the pages."""
    return [
        Documented(page.relative_to(ROOT).as_posix(), command, in_block)
        for page in PAGES
        for command, in_block in commands_of(page.read_text(encoding="utf-8"))
    ]
