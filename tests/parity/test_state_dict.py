"""Names, shapes, dtypes, trainability and parameter counts of every method and backbone,
exactly."""

from __future__ import annotations

import pytest
import torch

from tests.parity.golden import Case, cases
from tests.parity.measure import Measure, demand, wrong
from vatrack.config import Backbone, Method, ModelConfig
from vatrack.models.detector import build


@pytest.mark.parametrize("case", cases("state_dict"))
def test_entries_equal_the_published_ones(case: Case) -> None:
    demand(measure(case))


def measure(case: Case) -> list[Measure]:
    """Compares the entries of a network that was just built."""
    with torch.device("meta"):
        model = build(Method(case.info["method"]), ModelConfig(), Backbone(case.info["backbone"]))
    parameters = dict(model.named_parameters())
    ours = [
        (
            name,
            list(value.shape),
            str(value.dtype).removeprefix("torch."),
            name in parameters and parameters[name].requires_grad,
        )
        for name, value in model.state_dict().items()
    ]
    expected = [
        (entry["name"], entry["shape"], entry["dtype"].removeprefix("torch."), entry["trainable"])
        for entry in case.json("entries")
        if not entry.get("unused")
    ]
    counts = (
        sum(p.numel() for p in parameters.values()),
        sum(p.numel() for p in parameters.values() if p.requires_grad),
    )
    return [
        wrong("entries in their order", ours, expected),
        wrong(
            "parameters",
            counts,
            (case.parameters["parameters_total"], case.parameters["parameters_trainable"]),
        ),
    ]
