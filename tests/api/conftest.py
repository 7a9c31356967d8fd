"""Checkpoints and predictors that are made in a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.stub import Squares, make_predictor, settings
from tests.models.small import small_network
from vatrack.api import predictor
from vatrack.config import Method
from vatrack.weights.checkpoint import save


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small network of the method vatrack."""
    path = tmp_path_factory.mktemp("weights") / "best.pt"
    save(path, small_network(Method.VATRACK), settings(), 1)
    return path


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch) -> predictor.Predictor:
    """A predictor that sees the objects of `Squares`."""
    monkeypatch.setattr(predictor, "FramePredictor", Squares)
    return make_predictor()
