"""Chromium for tests of pages; without it they are skipped, or fail where CI is set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SCREENS = [(1400, "light"), (390, "light"), (390, "dark")]  # width in pixels, colour scheme
# What is wider than the page, save inside what scrolls by itself.
OVERFLOW = """() => Array.from(document.querySelectorAll("main *, header *")).filter(node =>
  !node.closest(".scroll, nav, .legend, pre, svg, .pane") && node.getBoundingClientRect().right
  > document.documentElement.clientWidth + 1).map(node => node.outerHTML.slice(0, 80))"""
# Tables whose first column of numbers is not in view before they are scrolled.
NO_NUMBER_IN_VIEW = """() => Array.from(document.querySelectorAll("table.data")).filter(table => {
  const [row] = table.tBodies[0].rows, number = row.cells[table.dataset.texts];
  const {left, right, width} = number.getBoundingClientRect(), box = table.parentElement;
  const view = Math.min(box.getBoundingClientRect().right, document.documentElement.clientWidth);
  return box.scrollLeft !== 0 || !width || right > view
    || left + 1 < row.cells[0].getBoundingClientRect().right;
}).map(table => table.parentElement.ariaLabel)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed; tests/browser/install does it")
        pytest.skip("Chromium is not installed; tests/browser/install does it")
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@contextmanager
def opened(browser: Any, path: Path, width: int, scheme: str) -> Iterator[Any]:
    """A page on such a screen; its `problems` are errors, and requests that leave it."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            request.url.startswith(("data:", path.as_uri()))
            or page.problems.append(f"request: {request.url[:100]}")
        ),
    )
    page.goto(path.as_uri())
    yield page
    context.close()


def check_layout(page: Any) -> None:
    """Nothing is wider than the screen, and every table shows a number; folded ones, too."""
    for _ in range(2):
        assert page.evaluate(OVERFLOW) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate("document.querySelectorAll('details').forEach(own => { own.open = true; })")
    assert page.evaluate(NO_NUMBER_IN_VIEW) == []
