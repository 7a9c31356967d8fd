"""Logs of trainings, and what a store has of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.experiments.experiments import (
    Store,
    expected,
)
from vatrack.config import RunConfig
from vatrack.experiments.identity import read_identity
from vatrack.experiments.log import ExperimentLog

SLURM: dict[str, Any] = {"launcher": {"cluster": "slurm"}}


def begun(run: RunConfig, folder: Path, resume: bool = False) -> ExperimentLog:
    """The log of a training that begins now."""
    log = ExperimentLog.start(run, folder, resume)
    assert log is not None
    return log


def measured(store: Store, run_id: str) -> list[tuple[str, int, float]]:
    """What MLflow itself has measured of the machine; the lines of the tests have none of it."""
    return [point for point in store.points(run_id) if point[0].startswith("system/")]


def training_points(store: Store, run_id: str) -> list[tuple[str, int, float]]:
    return [point for point in store.points(run_id) if not point[0].startswith("system/")]


def sent(store: Store, folder: Path) -> bool:
    """Whether the store has every line."""
    made = store.runs(folder) if store.path.exists() and read_identity(folder) else []
    return any(training_points(store, run_id) == expected(folder) for run_id in made)
