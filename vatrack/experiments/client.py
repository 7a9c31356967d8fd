"""How an MLflow store is reached: client, patience with SQLite, experiments. MLflow is imported
when it is first needed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vatrack.common.locks import locked

SQLITE = "sqlite:///"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # of trainings, not of chats
BUSY_SECONDS = 60.0  # SQLite knows one writer at a time; others wait

T = TypeVar("T")


def import_client(uri: str) -> None:
    """Imports what a store of this kind needs, seconds of work.

    Raises:
        ImportError: MLflow is not installed.
    """
    # Nothing is sent to anyone but the chosen store. Requests are not repeated by MLflow: one that
    # was only slow would be carried out twice, and whoever sends here looks first what has arrived.
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }.items():
        os.environ.setdefault(name, value)
    import mlflow.tracking

    if not uri.startswith("http"):
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)


def connect(uri: str) -> Any:
    """A client of the store; a SQLite file that does not exist is made."""
    import_client(uri)
    from mlflow.tracking import MlflowClient

    with set_up(uri):
        return MlflowClient(tracking_uri=uri)


@contextmanager
def set_up(uri: str) -> Iterator[None]:
    """Makes processes that start together set up a store one after another (two at once break a new
    SQLite file)."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / ".mlflow.lock").open("w") as file, locked(file):
        yield


def experiment_id(client: Any, name: str, uri: str) -> str:
    """The id of an experiment, which is made if need be; one in a SQLite file keeps its artifacts
    beside that file.

    Raises:
        RuntimeError: somebody has deleted it.
    """
    with set_up(uri):
        known = patient(client.get_experiment_by_name, name)
        if known is None:
            path = sqlite_path(uri)
            location = (path.resolve().parent / "mlartifacts").as_uri() if path else None
            return str(
                patient(client.create_experiment, name, artifact_location=location, tags=KIND)
            )
    if known.lifecycle_stage != "active":
        raise RuntimeError(
            f"the experiment {name} was deleted; restore it in MLflow or set mlflow.experiment to "
            f"another name"
        )
    return str(known.experiment_id)


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def patient(call: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Repeats a call while another process writes to the SQLite file."""
    deadline = time.monotonic() + BUSY_SECONDS
    wait = 0.1
    while True:
        try:
            return call(*arguments, **named)
        except Exception as error:
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(wait)
        wait = min(2 * wait, 5.0)
