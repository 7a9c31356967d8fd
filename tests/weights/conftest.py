"""A checkpoint of a small network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.models.small import SMALL
from vatrack.config import Backbone, Config, Method, RunConfig
from vatrack.models.detector import build
from vatrack.weights.checkpoint import save


def run_of(method: Method, **changes: object) -> RunConfig:
    return Config(model=SMALL.model_copy(update=changes)).for_run(method, Backbone.RESNET18)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    run = run_of(Method.VATRACK)
    torch.manual_seed(1)
    save(tmp_path / "epoch_03.pt", build(run.method, run.model, run.backbone), run, 3)
    return tmp_path / "epoch_03.pt"
