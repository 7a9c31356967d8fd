"""What is sent to MLflow at the end of a run of the workflow: a failure is a warning."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workflow.lib.sending import send_runs

RUNS = ["results/a b/vatrack__resnet18", "results/qdtrack__resnet18"]
COMMAND = (
    "upload the rest with: vatrack mlflow-sync 'results/a b/vatrack__resnet18' "
    "results/qdtrack__resnet18"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """In a folder that somebody has removed."""
    return tmp_path / "logs" / "mlflow.log"


def python(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a shell script in place of the Python that runs the command."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_the_command_gets_the_runs(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python(tmp_path, monkeypatch, 'for word; do echo "$word"; done; echo bad >&2')
    assert send_runs(RUNS, log) == ""
    assert log.read_text().splitlines() == ["-m", "vatrack", "mlflow-sync", *RUNS, "bad"]


def test_without_runs_nothing_is_sent(log: Path) -> None:
    assert send_runs([], log) == "" and not log.exists()


@pytest.mark.parametrize(
    ("script", "reason"), [("exit 1", "(see "), ("exec sleep 60", "(no result after 0.5 s, see ")]
)
def test_a_store_that_is_away_is_a_warning(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    python(tmp_path, monkeypatch, script)
    warning = send_runs(RUNS, log, seconds=0.5)
    assert warning == f"MLflow: upload incomplete {reason}{log}); {COMMAND}"


def test_a_log_that_cannot_be_written_is_a_warning(tmp_path: Path, log: Path) -> None:
    log.mkdir(parents=True)
    below = tmp_path / "file" / "mlflow.log"
    below.parent.touch()
    for place in (log, below):
        warning = send_runs(RUNS, place)
        assert warning.startswith("MLflow: upload incomplete ([Errno ") and COMMAND in warning
