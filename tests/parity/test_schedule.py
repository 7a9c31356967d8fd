"""Learning rate of every listed iteration."""

from __future__ import annotations

import pytest

from tests.golden import Case, cases
from vatrack.config import Backbone, Config, Method
from vatrack.training.schedule import learning_rate


@pytest.mark.parametrize("case", cases("schedule"))
def test_learning_rate(case: Case) -> None:
    parameters = case.parameters
    run = Config().for_run(Method(case.info["method"]), Backbone(case.info["backbone"]))
    schedule, optimizer = run.training.schedule, run.training.optimizer
    assert schedule.warmup_iterations == parameters["warmup_iterations"]
    assert list(schedule.steps) == parameters["steps"]
    assert run.training.epochs == parameters["epochs"]
    assert optimizer.learning_rate == parameters["optimizer"]["lr"]
    assert optimizer.momentum == parameters["optimizer"]["momentum"]
    assert optimizer.weight_decay == parameters["optimizer"]["weight_decay"]
    expected = case.json("expected")["learning_rate"]
    for iteration, rate in expected.items():
        ours = learning_rate(
            parameters["optimizer"]["lr"],
            schedule,
            int(iteration),
            parameters["iterations_per_epoch"],
            parameters["epochs"],
        )
        assert ours == pytest.approx(rate, rel=1e-9), iteration
