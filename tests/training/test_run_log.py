"""What a training says of its progress."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch

from tests.conftest import tiny_config
from vatrack.common.progress import time_left
from vatrack.config import Backbone, Method
from vatrack.runs.folder import RunFolder
from vatrack.training.distributed import Processes
from vatrack.training.run_log import RunLog, Speed, validation_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a minute left"),
        (380, "about 6 min left"),
        (5390, "about 90 min left"),
        (9000, "about 2.5 h left"),
        (20 * 86400, "about 20.0 days left"),
    ],
)
def test_the_time_left_has_a_unit_that_suits_it(seconds: float, text: str) -> None:
    assert time_left(seconds) == text


def test_recent_steps_weigh_more() -> None:
    speed = Speed()
    speed.add(10, 100.0)  # the first ones are slow
    assert speed.seconds(10) == pytest.approx(100.0)
    for _ in range(30):
        speed.add(10, 5.0)
    assert 5.0 < speed.seconds(10) < 6.0


def test_a_validation_is_one_line() -> None:
    metrics = {
        "image/amodal/AP50": 80.26,
        "image/visible/AP50": 82.4,
        "video/amodal/AP50": None,
        "track/amodal/HOTA": 54.2,
        "track/amodal/IDs": 8,
    }
    assert validation_text(metrics) == "image AP50 80.3 amodal, 82.4 visible; HOTA 54.2 amodal"
    assert validation_text({"image/amodal/AP50": None}) == "no metric is defined"


def test_lines_of_progress(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_config(tmp_path, log_every=2).for_run(Method.VATRACK, Backbone.RESNET18)
    monkeypatch.setattr(logging.getLogger("vatrack"), "propagate", True)
    alone = Processes(torch.device("cpu"))
    caplog.set_level(logging.INFO, "vatrack.training.run_log")
    with RunLog(run, RunFolder(tmp_path), 40, alone) as log:
        for iteration in (1, 2):
            log.step(iteration, 1, 1e-3, {"loss": torch.tensor(4.0)}, last=False)
    (message,) = set(caplog.messages)
    epochs = run.training.epochs
    assert message.startswith(f"epoch 1/{epochs}, iteration 2/40, less than a minute left; loss 4.")


def test_lines_that_another_machine_wrote_are_not_taken_for_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system may remember how long the file was before."""
    run = tiny_config(tmp_path, log_every=1).for_run(Method.VATRACK, Backbone.RESNET18)
    folder, alone = RunFolder(tmp_path), Processes(torch.device("cpu"))
    log = RunLog(run, folder, 40, alone)
    log.step(1, 1, 1e-3, {"loss": torch.tensor(4.0)}, last=False)
    state = log.state()
    with monkeypatch.context() as remembered:
        remembered.setattr(Path, "stat", lambda *_, **__: os.stat_result([0] * 10))
        RunLog(run, folder, 40, alone, state)
    assert folder.metrics_log.stat().st_size == state["bytes"] > 0
