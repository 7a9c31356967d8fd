from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.shards import Inputs, ten_videos, write


@pytest.fixture
def two(tmp_path: Path) -> tuple[Inputs, list[Path]]:
    inputs = write(tmp_path, *ten_videos())
    return inputs, inputs.shards(2, tmp_path)
