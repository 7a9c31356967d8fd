"""A headless Chromium for tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page


@contextmanager
def page(width: int = 1400, height: int = 900) -> Iterator[Page]:
    """An empty page of a browser without a network.

    Where Chromium is missing the test is skipped, in CI it fails.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        text = "no Chromium here; tests/browser/install installs it"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            context = browser.new_context(viewport={"width": width, "height": height})
            yield context.new_page()
        finally:
            browser.close()


def address(path: Path) -> str:
    """The address of a local file."""
    return path.resolve().as_uri()
