"""The list of slow tests in tests/order.py names files and tests that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.order import FIRST, SLOW

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("node", [*SLOW, *FIRST])
def test_what_is_listed_exists(node: str) -> None:
    name, _, test = node.partition("::")
    assert (ROOT / name).exists()
    assert not test or f"def {test}(" in (ROOT / name).read_text(encoding="utf-8")
