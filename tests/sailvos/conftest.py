"""What all tests of raw data share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sailvos.official import write_raw
from vatrack.common.files import write_json


@pytest.fixture(autouse=True, scope="module")
def flushed() -> Iterator[list[int]]:
    """Instead of flushing all disks of the machine: one entry for each time that it was asked
    for."""
    calls: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sync", lambda: calls.append(1))
        yield calls


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small raw tree `raw` and a dictionary of three clips, `structure.json`."""
    write_raw(tmp_path / "raw", {"train": {"a": 6, "b": 2}})
    clips = {
        "a__3": ["000003.bmp", "000004.bmp"],
        "a__5": ["000005.bmp"],
        "b__1": ["000003.bmp", "000004.bmp"],
    }
    write_json(tmp_path / "structure.json", clips)
    return tmp_path
