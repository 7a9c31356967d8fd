"""Processes that a test has started and left; those of the session's servers are not its own."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import active_children
from multiprocessing.process import BaseProcess

import pytest

_others: set[BaseProcess] = set()


@pytest.fixture(autouse=True)
def children_before() -> Iterator[None]:
    """In every test of a module that imports it: `left_processes` begins anew."""
    _others.update(active_children())
    yield
    _others.clear()


def left_processes() -> list[BaseProcess]:
    """The living processes that this one has started since the test began."""
    return [child for child in active_children() if child not in _others]
