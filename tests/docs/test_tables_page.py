"""docs/tables.md: commands that parse, examples and tables that exist."""

from __future__ import annotations

import re
from pathlib import Path

from vatrack.evaluation.examples import EXAMPLES
from vatrack.reporting.tables.extended import TITLES as EXTENDED
from vatrack.reporting.tables.paper import TITLES as PAPER
from vatrack.reporting.tables.tracking import TITLES as TRACKING

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")


def test_examples_tables_and_files_exist() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| [a-z]", PAGE, flags=re.MULTILINE)
    assert rows == list(EXAMPLES)
    tables = set(re.findall(r"`((?:image|video|track|extended)_[a-z]+)`", PAGE))
    assert tables == {*PAPER, *TRACKING, *EXTENDED}
    files = re.findall(r"`((?:vatrack|tests)/[\w/]+\.\w+)`", PAGE)
    assert len(files) == 3
    for name in files:
        assert (ROOT / name).is_file(), name
