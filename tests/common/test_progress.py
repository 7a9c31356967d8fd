"""Times in words, and progress in a log."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vatrack.common import logs
from vatrack.common.progress import byte_progress, duration
from vatrack.training.loop import TrainingResult


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0 s"),
        (0.3, "0.3 s"),
        (59, "59 s"),
        (59.6, "1 min 0 s"),
        (260, "4 min 20 s"),
        (3599.7, "1 h 0 min"),
        (11520, "3 h 12 min"),
        (93784, "1 d 2 h"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_training_of_weeks_is_told_in_days() -> None:
    result = TrainingResult(Path("runs/x"), 12, 100, 20 * 86400.0, 1, torch.device("cpu"))
    assert str(result) == "runs/x: 12 epochs, 100 iterations in 20 d 0 h on cpu"


def test_a_log_gets_a_line_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure()
    now = 1000.0
    monkeypatch.setattr("vatrack.common.progress.time.monotonic", lambda: now)
    with byte_progress("unpacking", 10_000_000_000) as advance:
        for _ in range(25):
            now += 10.0
            advance(100_000_000)
    output, errors = capsys.readouterr()
    assert output == ""  # which is the command's result
    assert len(errors.splitlines()) == 4
    assert errors.endswith("unpacking: 2.4 of 10.0 GB, about 13 min left\n")
