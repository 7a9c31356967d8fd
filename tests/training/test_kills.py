"""Two disturbances of a training at random moments; `make kill-test` makes 200, and test_resume.py
holds each moment that matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TinyData
from tests.training.kills import Kills, kill


@pytest.mark.usefixtures("narrow_trunk")
def test_a_training_that_is_disturbed_ends_as_if_nothing_had_happened(
    tiny_data: TinyData, tmp_path: Path
) -> None:
    kills = Kills()
    for kills in kill(tiny_data, tmp_path, number=2, seed=0):
        assert kills.problems == []
    assert sum(kills.done.values()) >= 2


def test_the_table_tells_loading_processes_apart() -> None:
    kills = Kills()
    kills.done["kill -9", "while saving", 0] += 3
    kills.done["kill -9", "in a validation", 2] += 1
    lines = kills.table().splitlines()
    assert "| kill -9 | 0 | 0 | 0 | 3 | 3 |" in lines
    assert "| kill -9 | 2 | 0 | 1 | 0 | 1 |" in lines
