"""A browser for the pages of the site."""

from tests.browser.chromium import browser as browser
