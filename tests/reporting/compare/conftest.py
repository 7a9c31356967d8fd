"""Fixtures of these tests."""

from tests.browser.chromium import browser as browser
