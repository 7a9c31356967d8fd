"""Some disturbances of a training at random moments; `make kill-test` makes 200."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.conftest import TinyData
from tests.training.kills import Kills, kill

KILLS = int(os.environ.get("VATRACK_KILLS", "6"))
SEED = int(os.environ.get("VATRACK_KILL_SEED", random.randrange(10**6)))


@pytest.mark.usefixtures("narrow_trunk")
def test_a_training_that_is_disturbed_ends_as_if_nothing_had_happened(
    tiny_data: TinyData, tmp_path: Path
) -> None:
    """More kills: VATRACK_KILLS=100; the moments repeat with VATRACK_KILL_SEED."""
    kills = Kills()
    for kills in kill(tiny_data, tmp_path, KILLS, SEED):
        assert kills.problems == [], f"VATRACK_KILL_SEED={SEED}"
    print(kills.table())


def test_the_table_tells_loading_processes_apart() -> None:
    kills = Kills()
    kills.done["kill -9", "while saving", 0] += 3
    kills.done["kill -9", "in a validation", 2] += 1
    lines = kills.table().splitlines()
    assert "| kill -9 | 0 | 0 | 0 | 3 | 3 |" in lines
    assert "| kill -9 | 2 | 0 | 1 | 0 | 1 |" in lines
