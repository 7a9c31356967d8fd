"""What all tests of raw data share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def flushed() -> Iterator[list[int]]:
    """Instead of flushing all disks of the machine: one entry for each time that it was asked
    for."""
    calls: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sync", lambda: calls.append(1))
        yield calls
