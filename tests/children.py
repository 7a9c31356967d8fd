"""Processes that others have started, and those that a test has started and left."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

_others: set[BaseProcess] = set()


@pytest.fixture(autouse=True)
def children_before() -> Iterator[None]:
    """In every test of a module that imports it: `left_processes` begins anew."""
    _others.update(active_children())
    yield
    _others.clear()


def left_processes() -> list[BaseProcess]:
    """The living processes that this one has started since the test began; the session's servers
    are not among them."""
    return [child for child in active_children() if child not in _others]


def children_of(process: BaseProcess) -> list[int]:
    """The living children of a process that this one has started."""
    number = process.pid
    try:
        return [
            int(word) for word in Path(f"/proc/{number}/task/{number}/children").read_text().split()
        ]
    except OSError:
        return []
