"""Names, shapes, dtypes, trainability and parameter counts of every method and backbone, exactly."""

from __future__ import annotations

import pytest
import torch

from tests.golden import Case, cases
from vatrack.config import Backbone, Method, ModelConfig
from vatrack.models.detector import build


@pytest.mark.parametrize("case", cases("state_dict"))
def test_entries_equal_the_published_ones(case: Case) -> None:
    with torch.device("meta"):
        model = build(Method(case.info["method"]), ModelConfig(), Backbone(case.info["backbone"]))
    parameters = dict(model.named_parameters())
    ours = {
        name: (
            list(value.shape),
            str(value.dtype).removeprefix("torch."),
            name in parameters and parameters[name].requires_grad,
        )
        for name, value in model.state_dict().items()
    }
    expected = {
        entry["name"]: (entry["shape"], entry["dtype"].removeprefix("torch."), entry["trainable"])
        for entry in case.json("entries")
        if not entry.get("unused")
    }
    assert ours == expected
    assert list(ours) == list(expected), "the order of the entries"
    assert sum(p.numel() for p in parameters.values()) == case.parameters["parameters_total"]
    assert sum(p.numel() for p in parameters.values() if p.requires_grad) == case.parameters["parameters_trainable"]
