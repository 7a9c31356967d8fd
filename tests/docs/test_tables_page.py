"""docs/tables.md: commands that parse, examples and tables that exist."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from vatrack.cli import app
from vatrack.evaluation.examples import EXAMPLES
from vatrack.reporting.tables.extended import TITLES as EXTENDED
from vatrack.reporting.tables.paper import TITLES as PAPER
from vatrack.reporting.tables.tracking import TITLES as TRACKING

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")


def test_the_commands_parse() -> None:
    command = typer.main.get_command(app)
    calls = re.findall(
        r"^vatrack ([a-z-]+) ([^#\n]*)", PAGE.replace("\\\n", " "), flags=re.MULTILINE
    )
    assert {name for name, _ in calls} == {"tables", "examples", "evaluate"}
    for name, rest in calls:
        known = {option for parameter in command.commands[name].params for option in parameter.opts}  # type: ignore[attr-defined]
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, name


def test_examples_tables_and_files_exist() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| [a-z]", PAGE, flags=re.MULTILINE)
    assert rows == list(EXAMPLES)
    tables = set(re.findall(r"`((?:image|video|track|extended)_[a-z]+)`", PAGE))
    assert tables == {*PAPER, *TRACKING, *EXTENDED}
    files = re.findall(r"`((?:vatrack|tests)/[\w/]+\.\w+)`", PAGE)
    assert len(files) == 3
    for name in files:
        assert (ROOT / name).is_file(), name
