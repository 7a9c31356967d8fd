"""docs/tables.md and the README: examples and tables that exist, the published metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path

from vatrack.evaluation.examples import EXAMPLES
from vatrack.reporting.tables.extended import TITLES as EXTENDED
from vatrack.reporting.tables.names import METHOD_NAMES
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


def test_the_readme_shows_the_published_metrics() -> None:
    published = json.loads((ROOT / "vatrack/reporting/tables/published.json").read_text())["tables"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for method, name in METHOD_NAMES.items():
        values = [
            published[table].get(method.value, ["–"])[0]
            for table in ("image_amodal", "video_amodal", "image_visible", "video_visible")
        ]
        assert f"| {name} | {' | '.join(map(str, values))} |" in readme
