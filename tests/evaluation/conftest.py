"""What the tests of the evaluation share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.command import Command
from tests.evaluation.shards import Inputs, ten_videos, write


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Inputs, list[Path]]:
    """Files and their two shards, which nothing changes."""
    folder = tmp_path_factory.mktemp("sound")
    inputs = write(folder, *ten_videos())
    return inputs, inputs.shards(2, folder)


@pytest.fixture
def two(sound: tuple[Inputs, list[Path]], tmp_path: Path) -> tuple[Inputs, list[Path]]:
    """Copies of these files, to be spoiled."""
    inputs, shards = sound
    truth, found, *copies = (
        Path(shutil.copy(path, tmp_path))
        for path in (inputs.ground_truth, inputs.predictions, *shards)
    )
    return Inputs(truth, found), copies


@pytest.fixture
def command(vatrack: Command) -> Command:
    """Runs `vatrack evaluate`; returns code, output, errors."""
    return lambda *arguments: vatrack("evaluate", *arguments)
