"""Learning rate of every listed iteration."""

from __future__ import annotations

import pytest

from tests.parity.golden import Case, cases
from tests.parity.measure import Measure, demand, wrong
from vatrack.config import Backbone, Config, Method
from vatrack.training.schedule import learning_rate


@pytest.mark.parametrize("case", cases("schedule"))
def test_learning_rate(case: Case) -> None:
    demand(measure(case))


def measure(case: Case) -> list[Measure]:
    """Compares the recipe's numbers exactly and the learning rate of every listed iteration."""
    theirs = case.parameters
    run = Config().for_run(Method(case.info["method"]), Backbone(case.info["backbone"]))
    schedule, optimizer = run.training.schedule, run.training.optimizer
    ours = [schedule.warmup_iterations, list(schedule.steps), run.training.epochs]
    published = [theirs["warmup_iterations"], theirs["steps"], theirs["epochs"]]
    ours += [optimizer.learning_rate, optimizer.momentum, optimizer.weight_decay]
    published += [theirs["optimizer"][key] for key in ("lr", "momentum", "weight_decay")]
    errors = []
    for iteration, rate in case.json("expected")["learning_rate"].items():
        value = learning_rate(
            theirs["optimizer"]["lr"],
            schedule,
            int(iteration),
            theirs["iterations_per_epoch"],
            theirs["epochs"],
        )
        errors.append(abs(value / rate - 1))
    return [
        wrong("recipe", ours, published),
        Measure("learning rates", "relative", max(errors), 1e-9),
    ]
