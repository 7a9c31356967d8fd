"""What the tests of MLflow share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.experiments import Store
from vatrack.experiments.log import ExperimentLog


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


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Waits for the threads that copy before patches are undone: one would send amid later
    tests."""
    yield
    for thread in threading.enumerate():
        if thread.name == "mlflow":
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture
def no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away what the environment says about stores and jobs."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.fixture
def quick_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of a training sends whenever there is something new."""
    monkeypatch.setattr(ExperimentLog, "pause", 0.05)
    monkeypatch.setattr(ExperimentLog, "share", 1.0)
