from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from vatrack.reporting.page import write_page

MARKDOWN = """### First & only

| Method | AP |
|---|---:|
| VATrack | **12.3** |
| *other* | - |

Two words: AP < 100.

### Second

| A |
|---|
| b |
"""


def test_tables_headings_and_notes(tmp_path: Path) -> None:
    out = tmp_path / "tables.html"
    write_page(MARKDOWN, out)
    text = out.read_text().replace("<!doctype html>", "").replace('<meta charset="utf-8">', "")
    page = ElementTree.fromstring(text)  # every tag is closed and every sign escaped
    assert [heading.text for heading in page.iter("h2")] == ["First & only", "Second"]
    first, second = page.iter("table")
    rows = [["".join(cell.itertext()) for cell in row] for row in first]
    assert rows == [["Method", "AP"], ["VATrack", "12.3"], ["other", "-"]]
    assert [[cell.get("class") for cell in row] for row in first] == [[None, "number"]] * 3
    assert [cell.tag for cell in first[0]] == ["th", "th"]
    assert [bold.text for bold in first.iter("b")] == ["12.3"]
    assert [stressed.text for stressed in first.iter("em")] == ["other"]
    assert len(second) == 2
    assert [note.text for note in page.iter("p")] == ["Two words: AP < 100."]
