"""The web page with all tables."""

from __future__ import annotations

import re
from html import unescape

from vatrack.reporting.tables.page import to_page
from vatrack.reporting.tables.table import Column, Row, make_table


def test_tables_headings_and_notes() -> None:
    columns = [
        Column("AP one", "one", "AP"),
        Column("AP two", "two", "AP"),
        Column("n", "n", "Count", decimals=0),
    ]
    rows = [
        Row(["a"], ["VATrack <1>"], [12.34, None, 7], "x"),
        Row(["b"], ["{0} & other"], [-0.04, 0.04, 1.25], "y", signed=True, quoted=True),
        Row(["c"], ["more"], [-12.3, float("nan"), -0.4], "x"),
    ]
    note = "Two words: AP < 100, `--run`."
    across = ["AP", "AP", "Count"]
    first = make_table("t", "First & only", note, {"m": "Method"}, columns, rows, across)
    second = make_table("u", "Second", "Nothing.", {"a": "A"}, [], [])
    page = to_page([first, second])
    assert found(page, "h2") == [("", "First & only"), ("", "Second")]
    assert found(page, "th")[:7] == [
        (' class="text"', ""),
        (' colspan="2" scope="colgroup"', "AP"),
        (' colspan="1" scope="colgroup"', "Count"),
        (' scope="col" class="text"', "Method"),
        *((' scope="col"', name) for name in ("one", "two", "n")),
    ]
    lines = found(page, "tr")
    assert [style for style, _ in lines] == [
        ' class="groups"', "", "", ' class="rule follows"', ' class="rule"', "",
    ]  # fmt: skip
    cells = found(page, "td")
    assert [text for _, text in cells] == [
        *("VATrack <1>", "12.3", "–", "7"),
        *("{0} & other", "0.0", "0.0", "+1"),
        *("more", "\u221212.3", "–", "0"),
    ]
    styles = [re.sub('^ class="|"$', "", style).split() for style, _ in cells]
    best = [number for number, style in enumerate(styles) if "best" in style]
    assert best == [1, 9]  # 5 and 6 are equal
    assert all(("quoted" in style) == (4 <= n < 8) for n, style in enumerate(styles))
    notes = [text for style, text in found(page, "p") if style == ' class="note"']
    assert notes == [
        "Two words: AP < 100, --run. Undefined values (-1 in pycocotools) are shown as a dash.",
        "Nothing.",
    ]
    assert "<code>--run</code>" in page


def found(page: str, tag: str) -> list[tuple[str, str]]:
    """Attributes and text of the elements with a tag, without what is for narrow screens."""
    elements = re.findall(rf"<{tag}\b([^>]*)>(.*?)</{tag}>", page, flags=re.DOTALL)
    return [
        (own, unescape(re.sub("<small>.*?</small>|<[^>]*>", "", text)).strip())
        for own, text in elements
    ]
