"""The looks at SLURM and MLflow."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.doctor.looks import (
    expect,
    only,
    raising,
)
from tests.http_server import Handler, http_server
from vatrack.doctor import (
    services,
)
from vatrack.doctor.check import State


def cluster(folder: Path, monkeypatch: pytest.MonkeyPatch, sinfo: str | None, *names: str) -> None:
    """Programs of SLURM in PATH; sinfo as a script."""
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: real(name, path=str(folder)))
    for name in names:
        (folder / name).touch(mode=0o755)
    if sinfo is not None:
        (folder / "sinfo").write_text(f"#!/bin/sh\n{sinfo}\n")
        (folder / "sinfo").chmod(0o755)


SLURM: dict[str, Any] = {"launcher": {"cluster": "slurm"}}


def test_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(tmp_path, monkeypatch, None)
    expect(only("SLURM"), "ok", "none")
    expect(only("SLURM", **SLURM), "fails", "no sbatch, no srun, no sinfo", "launcher.cluster")
    (tmp_path / "srun").touch(mode=0o755)
    expect(only("SLURM"), "warning", "no sbatch, no sinfo in PATH")


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (
            "echo 'slurm_load: Unable to contact controller' >&2; exit 1",
            "sinfo failed (exit code 1)",
        ),
        ("sleep 20", "no answer in 0.5 s"),
    ],
)
def test_slurm_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: str
) -> None:
    cluster(tmp_path, monkeypatch, f"exec sh -c \"{script}\"" if "sleep" in script else script,
            "sbatch", "srun")  # fmt: skip
    monkeypatch.setattr(services, "SECONDS", 0.5)
    expect(only("SLURM"), "warning", found, "slurmctld")
    expect(only("SLURM", **SLURM), "fails", found, "slurmctld")


def test_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(tmp_path, monkeypatch, "printf 'gpu\\ncpu\\ngpu\\n'", "sbatch", "srun")
    expect(only("SLURM"), "ok", "partitions cpu, gpu")
    for partition in ("gpu", "gpu,cpu"):
        expect(only("SLURM", launcher=SLURM["launcher"] | {"partition": partition}), "ok")
    wrong = only("SLURM", launcher=SLURM["launcher"] | {"partition": "gpus"})
    expect(wrong, "fails", "unknown partition 'gpus'; did you mean gpu?", "launcher.partition")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the store of the default config lies."""
    for name in os.environ:
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    return tmp_path / "results" / "mlflow.db"


def test_a_store_that_is_no_database_or_none_of_mlflow(store: Path) -> None:
    expect(only("MLflow"), "ok", f"{store} (will be created)")
    assert not store.exists()
    expect(only("MLflow", mlflow={"enabled": False}), "ok", "off")
    store.write_text("this is a text, not a database " * 100)
    expect(only("MLflow"), "fails", "not a database", "vatrack mlflow-sync")
    store.unlink()
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE other (x)")
    expect(only("MLflow"), "fails", "not an MLflow database", "move it away")
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE experiments (x)")
    expect(only("MLflow"), "ok", str(store))


def test_a_store_that_somebody_writes_or_that_is_read_only(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE experiments (x)")
    monkeypatch.setattr(services, "SECONDS", 0.1)
    with sqlite3.connect(store, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        expect(only("MLflow"), "warning", "locked", "wait")
        other.rollback()
    error = sqlite3.OperationalError("attempt to write a readonly database")
    monkeypatch.setattr(sqlite3, "connect", raising(error))
    expect(only("MLflow"), "fails", "readonly", "chmod u+w")


def test_a_store_in_a_folder_that_cannot_be_written(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(30, "Read-only file system")
    monkeypatch.setattr(tempfile, "TemporaryFile", raising(error))
    expect(only("MLflow"), "fails", "read-only file system", "mlflow.tracking_uri")
    expect(only("MLflow", results="a%b"), "fails", "a%b/mlflow.db", "mlflow.tracking_uri")


@contextmanager
def server(status: int) -> Iterator[tuple[str, list[str | None]]]:
    """Answers every POST with this status; the list gets its credentials."""
    seen: list[str | None] = []

    class Answer(Handler):
        def do_POST(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()

    with http_server(Answer) as address:
        yield f"http://{address}", seen


@pytest.mark.parametrize(
    ("status", "state", "text"),
    [
        (400, "ok", ""),
        (401, "fails", "no write permission (HTTP 401)"),
        (403, "fails", "no write permission (HTTP 403)"),
        (404, "fails", "not an MLflow server (HTTP 404)"),
    ],
)
def test_a_server(
    store: Path, monkeypatch: pytest.MonkeyPatch, status: int, state: State, text: str
) -> None:
    with server(status) as (address, seen):
        expect(only("MLflow", mlflow={"tracking_uri": address}), state, text)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        expect(only("MLflow"), state, address)
    assert seen == [None, "Bearer secret"]


def test_a_server_that_is_away(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = only("MLflow", mlflow={"tracking_uri": "http://127.0.0.1:9"})
    expect(check, "fails", "not reachable (ConnectionError)", "mlflow server")
    monkeypatch.setattr(requests.Session, "post", raising(requests.ReadTimeout()))
    check = only("MLflow", mlflow={"tracking_uri": "https://example.org"})
    expect(check, "fails", "not reachable (ReadTimeout)", "mlflow.tracking_uri")
    check = only("MLflow", mlflow={"tracking_uri": "postgresql://host/base"})
    expect(check, "ok", "not checked")


@pytest.mark.slow
def test_a_real_store_of_mlflow_is_fine(store: Path) -> None:
    client = pytest.importorskip("vatrack.experiments.client")
    client.connect(client.sqlite_uri(store))
    before = store.read_bytes()
    expect(only("MLflow"), "ok", str(store))
    assert store.read_bytes() == before, "nothing was written"
