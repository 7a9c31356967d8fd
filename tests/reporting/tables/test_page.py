"""The web page with all tables."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from vatrack.reporting.tables.table import Column, Row, make_table
from vatrack.reporting.tables.writers import to_page


def test_tables_headings_and_notes() -> None:
    columns = [
        Column("AP one", "one", "AP"),
        Column("AP two", "two", "AP"),
        Column("n", "n", "Count", decimals=0),
    ]
    rows = [
        Row(["a"], ["VATrack <1>"], [12.34, None, 7], "x"),
        Row(["b"], ["{0} & other"], [-0.04, 0.04, 1.25], "y", signed=True, quoted=True),
        Row(["c"], ["more"], [12.3, float("nan"), -0.4], "x"),
    ]
    note = "Two words: AP < 100, `--run`."
    across = ["AP", "AP", "Count"]
    first = make_table("t", "First & only", note, {"m": "Method"}, columns, rows, across)
    second = make_table("u", "Second", "Nothing.", {"a": "A"}, [], [])
    text = (
        to_page([first, second])
        .replace("<!doctype html>", "")
        .replace('<meta charset="utf-8">', "")
    )
    page = ElementTree.fromstring(text)  # every tag is closed and every sign escaped
    assert [heading.text for heading in page.iter("h2")] == ["First & only", "Second"]
    shown, empty = page.iter("table")
    lines = list(shown.iter("tr"))
    assert [["".join(cell.itertext()).strip() for cell in line] for line in lines] == [
        ["", "AP", "Count"],
        ["Method", "one", "two", "n"],
        ["VATrack <1>", "12.3", "-", "7"],
        ["{0} & other", "0.0", "0.0", "+1"],
        ["more", "12.3", "-", "0"],
    ]
    assert [cell.get("colspan") for cell in lines[0]] == [None, "2", None]
    assert styled(text, "font-weight: bold") == {"row0_col1", "row1_col1", "row1_col2", "row2_col1"}
    assert styled(text, "font-style: italic") == {"row1_col0"}
    assert styled(text, "border-top: 1px solid") == {".row0", ".row1", ".row2"}
    assert styled(text, "text-align: left") == {".col0"}
    assert len(list(empty.iter("tr"))) == 1
    assert ["".join(note.itertext()) for note in page.iter("p")] == [
        "Two words: AP < 100, --run. Undefined values (-1 in pycocotools) are shown as a dash.",
        "Nothing.",
    ]


def styled(text: str, style: str) -> set[str]:
    """The cells, rows or columns of the first table that have a style."""
    rules = re.findall(r"^((?:#T_t[^{]*?)) {\s*([^}]*?);?\s*}", text, flags=re.MULTILINE)
    found = [
        selector for selectors, own in rules if own == style for selector in selectors.split(",")
    ]
    return {selector.strip().removeprefix("#T_t").lstrip("_ ") for selector in found}
