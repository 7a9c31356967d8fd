"""The report in a browser: all is seen, nothing overflows, nothing is loaded from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.page.results import add_views, results_folder
from vatrack.reporting.page import write_report

pytestmark = pytest.mark.slow

RUNS = ["qdtrack__resnet18", "vatrack__resnet18"]
SIZES = """selector => Array.from(document.querySelectorAll(selector), node => {
  const box = node.getBoundingClientRect();
  return [box.width, box.height];
})"""
# What is wider than the page, save inside what scrolls by itself.
OVERFLOW = """() => Array.from(document.querySelectorAll("main *, header *")).filter(node =>
  !node.closest(".scroll, nav, .legend, pre, svg, .pane") && node.getBoundingClientRect().right
  > document.documentElement.clientWidth + 1).map(node => node.outerHTML.slice(0, 80))"""
PAINTED = """() => {
  const canvas = document.querySelector("#viewer canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let at = 0; at < data.length; at += 4) {
    colours.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
  }
  return colours.size;
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    root = results_folder(
        folder / "mini", methods=["qdtrack", "vatrack"], backbones=["resnet18"], videos=40
    )
    add_views(root, folder, RUNS)
    write_report([str(root)], root / "report.html", results=root)
    return root / "report.html"


@pytest.fixture(params=[(1400, "light"), (390, "light"), (390, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Any]:
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    opened = context.new_page()
    opened.problems = []
    opened.on("console", lambda message: opened.problems.append(message.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            request.url.startswith(("data:", report.as_uri()))
            or opened.problems.append(f"request: {request.url[:100]}")
        ),
    )
    opened.goto(report.as_uri())
    opened.wait_for_function(f"({PAINTED})() > 5")
    yield opened
    context.close()


def test_everything_is_seen(page: Any) -> None:
    for selector, least in ((".chart svg", 14), ("#viewer canvas", 1), (".clip img", 4)):
        sizes = [size for size in page.evaluate(SIZES, selector) if size != [0, 0]]
        assert len(sizes) >= least, selector
        assert all(width > 100 and height > 50 for width, height in sizes), selector
    for selector in (".plot .line", ".plot .rect", ".card dd", "#tables > .scroll td"):
        assert page.locator(selector).count() > 3, selector
    assert page.evaluate(OVERFLOW) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("document.querySelectorAll('details').forEach(own => { own.open = true; })")
    assert page.evaluate(OVERFLOW) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.problems == []


def test_it_answers(page: Any) -> None:
    # Tables sort: the highest first, then the lowest, then as before.
    rows = page.locator("#tables .scroll").nth(1).locator("tbody tr")
    before = rows.all_inner_texts()
    head = page.locator("#tables .scroll").nth(1).locator("th button").nth(4)
    found = []
    for _ in range(3):
        head.click()
        found.append([float(text.split("\t")[4]) for text in rows.all_inner_texts()])
    assert found[0] == sorted(found[0], reverse=True) and found[1] == sorted(found[0])
    assert rows.all_inner_texts() == before and found[0] != found[1]
    # Plots tell their values.
    chart = page.locator("#precision .chart svg").first
    chart.scroll_into_view_if_needed()
    chart.hover()
    assert "recall" in page.locator("#tip").inner_text()
    assert "VATrack" in page.locator("#tip").inner_text()
    # A run can be hidden, in all plots.
    lines = page.locator(".plot .line").count()
    page.locator("#training .legend button").first.click()
    assert page.locator(".plot .line").count() < lines
    assert page.locator("#classes .legend button").first.get_attribute("aria-pressed") == "false"
    # The player plays, and changes its views.
    page.locator("#viewer .play").click()
    page.wait_for_function("document.querySelector('#viewer output').textContent.includes('of 3')")
    page.locator("#viewer .side").nth(1).get_by_text("Input").click()
    page.locator("#viewer .layout").get_by_text("Side by side").click()
    tags = page.locator("#viewer .tag").all_inner_texts()
    assert "Input" in tags and any("Ground truth, amodal" in tag for tag in tags)
    page.locator(".clip").nth(1).click()
    assert page.locator("#viewer .caption").inner_text().startswith("clip__2: ")
    assert page.problems == []


def test_it_prints(page: Any, tmp_path: Path) -> None:
    page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
    page.emulate_media(media="print")
    assert page.evaluate(SIZES, ".controls")[0] == [0, 0]
    assert page.problems == []
