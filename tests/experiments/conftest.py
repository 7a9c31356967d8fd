"""What the tests of MLflow share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.experiments import Store


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One results folder for all tests of a file: a new database takes seconds."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def store(results: Path) -> Store:
    """The SQLite store in the results folder."""
    return Store(results / "mlflow.db")


@pytest.fixture
def folder(results: Path, tmp_path: Path) -> Path:
    """The place of a run's folder, whose store is the one in the results folder."""
    return results / "runs" / tmp_path.name


@pytest.fixture
def no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away what the environment says about stores and jobs."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
