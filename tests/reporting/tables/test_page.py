"""The web page with all tables."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from vatrack.reporting.tables.model import Cell, Column, Row, Table
from vatrack.reporting.tables.page import to_page


def test_tables_headings_and_notes() -> None:
    columns = (
        Column("AP one", "one", "AP"),
        Column("AP two", "two", "AP"),
        Column("n", "n", "Count"),
    )
    rows = (
        Row(
            ("a",), ("VATrack <1>",), (Cell(12.34, best=True), Cell(None), Cell(7, decimals=0)), "x"
        ),
        Row(
            ("b",),
            ("other",),
            (Cell(-0.04), Cell(0.04, signed=True), Cell(1.25, signed=True)),
            "y",
            quoted=True,
        ),
    )
    first = Table(
        "t",
        "First & only",
        "Two words: AP < 100, `--run`.",
        ("method",),
        ("Method",),
        columns,
        rows,
    )
    second = Table("u", "Second", "Nothing.", ("a",), ("A",), (), ())
    text = (
        to_page([first, second])
        .replace("<!doctype html>", "")
        .replace('<meta charset="utf-8">', "")
    )
    page = ElementTree.fromstring(text)  # every tag is closed and every sign escaped
    assert [heading.text for heading in page.iter("h2")] == ["First & only", "Second"]
    shown, empty = page.iter("table")
    assert [["".join(cell.itertext()) for cell in row] for row in shown] == [
        ["", "AP", "Count"],
        ["Method", "one", "two", "n"],
        ["VATrack <1>", "12.3", "-", "7"],
        ["other", "0.0", "0.0", "+1.2"],
    ]
    assert [cell.get("colspan") for cell in shown[0]] == [None, "2", "1"]
    assert [cell.get("class") for cell in shown[2]] == [None, "number", "number", "number"]
    assert [row.get("class") for row in shown] == [None, None, "line", "line"]
    assert [bold.text for bold in shown.iter("b")] == ["12.3"]
    assert [stressed.text for stressed in shown.iter("em")] == ["other"]
    assert len(empty) == 1
    assert ["".join(note.itertext()) for note in page.iter("p")] == [
        "Two words: AP < 100, --run.",
        "Nothing.",
    ]
