"""The report in a browser: all is seen, nothing overflows, nothing is loaded from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import SCREENS, check_layout, opened
from tests.reporting.page.results import add_views, results_folder
from tests.reporting.tables.made_up import run_folder
from tests.waiting import wait_until
from vatrack.reporting.page import write_report

pytestmark = pytest.mark.slow

RUNS = ["qdtrack__resnet18", "vatrack__resnet18"]
SIZES = """selector => Array.from(document.querySelectorAll(selector), node => {
  const box = node.getBoundingClientRect();
  return [box.width, box.height];
})"""
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
    root = results_folder(folder / "mini", methods=["qdtrack", "vatrack"], videos=40)
    add_views(root, folder, RUNS)
    write_report([str(root)], root / "report.html", results=root)
    return root / "report.html"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with the widest tables: all methods, several backbones, means, a long label."""
    methods = ["qdtrack", "amodaltrack", "vatrack", "vatrack-2bbox"]
    backbones = ["resnet18", "resnext101_64x4d"]
    folder = tmp_path_factory.mktemp("many")
    root = results_folder(folder / "mini", methods=methods, backbones=backbones)
    for label in ("seed0", "seed1", "one-label-of-" + 47 * "x"):
        run = root / "runs" / f"vatrack-2bbox__resnext101_64x4d__{label}"
        run_folder(
            run, 99.0, method="vatrack-2bbox", backbone="resnext101_64x4d", dataset="sailvos-cut"
        )
    write_report([str(root)], root / "report.html", results=root)
    return root / "report.html"


@pytest.fixture(params=SCREENS, ids=str)
def page(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Any]:
    with opened(browser, report, *request.param) as page:
        # Not by `wait_for_function`, whose second look the page's security policy refuses.
        wait_until(lambda: page.evaluate(PAINTED) > 5)
        yield page


def test_everything_is_seen(page: Any) -> None:
    for selector, least in ((".chart svg", 14), ("#viewer canvas", 1), (".clip img", 4)):
        sizes = [size for size in page.evaluate(SIZES, selector) if size != [0, 0]]
        assert len(sizes) >= least, selector
        assert all(width > 100 and height > 50 for width, height in sizes), selector
    for selector in (".plot .line", ".plot .rect", ".card dd", "#tables > .scroll td"):
        assert page.locator(selector).count() > 3, selector
    check_layout(page)
    assert page.problems == []


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_the_widest_tables_show_numbers(browser: Any, many: Path, screen: tuple[int, str]) -> None:
    with opened(browser, many, *screen) as page:
        assert page.locator("#key-metrics table.data, #tables > .scroll").count() == 5
        check_layout(page)
        assert page.problems == []


def test_paper_tables_fit_a_phone(browser: Any, report: Path) -> None:
    with opened(browser, report, 390, "light") as page:
        boxes = page.locator("#tables > .scroll")
        assert boxes.count() == 4
        sizes = boxes.evaluate_all("boxes => boxes.map(box => [box.scrollWidth, box.clientWidth])")
        assert all(whole <= seen for whole, seen in sizes), sizes
        cell = page.locator("#tables tbody td").first
        assert cell.inner_text().split("\n") == ["VATrack", "ResNet-18, mini, this run"]


def test_it_answers(page: Any) -> None:
    # Tables sort: the highest first, then the lowest, then as before.
    rows = page.locator("#tables .scroll").nth(1).locator("tbody tr")
    before = rows.all_inner_texts()
    head = page.locator("#tables .scroll").nth(1).locator("th button").nth(4)
    found = []
    for _ in range(3):
        head.click()
        values = rows.evaluate_all("rows => rows.map(row => row.cells[4].textContent)")
        found.append([float(value) for value in values])
    assert found[0] == sorted(found[0], reverse=True) and found[1] == sorted(found[0])
    assert rows.all_inner_texts() == before and found[0] != found[1]
    # Times sort by seconds, not by the first number in their words.
    page.locator("#appendix summary").first.click()
    stages = page.locator("#appendix tbody tr td:first-child")
    assert stages.all_inner_texts() == ["train", "evaluate", "tables"]
    page.locator("#appendix th button").nth(3).click()
    assert stages.all_inner_texts() == ["train", "tables", "evaluate"]
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
    # Frames have the same numbers as in files and drawings, from 0.
    page.locator("#viewer .time").fill("1")
    shown = page.locator("#viewer output")
    wait_until(lambda: shown.inner_text() == "frame 1 (0 to 2)")
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
