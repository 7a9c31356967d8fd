"""Which MLflow store a run is sent to, and how it is reached. MLflow is imported when needed."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vatrack.common.errors import InputError, VatrackError
from vatrack.common.files import atomic_path
from vatrack.common.locks import locked, patience
from vatrack.common.paths import real, seen
from vatrack.config import RunConfig
from vatrack.runs.folder import RunFolder

TYPE = {"mlflow.experimentKind": "custom_model_development"}  # of trainings, not of chats
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"  # folder beside a SQLite file
_CREATING = threading.Lock()  # all stores in memory are one to a process
PATIENCE = 120.0  # seconds to wait for another process that sends


class StoreError(VatrackError):
    """The store is unreachable or refuses. The message names the store."""


def store_uri(folder: Path, run: RunConfig) -> str:
    """The config's store, else that of $MLFLOW_TRACKING_URI, else mlflow.db in the results folder.

    The results folder of results/DATASET/runs/NAME is results. (Without these levels, it is what
    the run's folder is in.) It is looked up each time, so that results can be moved.

    Raises:
        InputError: see `sqlite_uri`.
    """
    named = run.mlflow.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        return named
    results = real(folder).parent
    if results.name == "runs":
        results = results.parent
        if results.name == run.dataset.name or (results.parent / DATABASE).exists():
            results = results.parent
    return sqlite_uri(results / DATABASE)


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file.

    Raises:
        InputError: characters of its path mean something else in addresses.
    """
    if found := sorted(set("?#%") & set(str(path))):
        raise InputError(
            f"{path}: an MLflow file cannot be at a path with {' or '.join(found)}; rename the "
            "folder, or set mlflow.tracking_uri (in mlflow-sync and mlflow-ui: --tracking-uri)"
        )
    return f"sqlite:///{path}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store; None for other stores."""
    scheme, _, path = uri.partition("?")[0].partition(":///")
    if not path or scheme.partition("+")[0] != "sqlite":
        return None
    return Path(unquote(path.removeprefix("file:")) if path.startswith("file:") else path)


@contextmanager
def naming_store(uri: str) -> Iterator[None]:
    """Makes every failure of a store a StoreError of one line."""
    try:
        yield
    except (VatrackError, ImportError):
        raise
    # requests, SQLAlchemy, alembic, MLflow, the disk: whatever it is, the store lacks something
    except Exception as error:
        text = "no server answers there; start it" if _no_server(error) else first_line(error)
        raise StoreError(f"{uri}: {text}") from error


def _no_server(error: BaseException | None) -> bool:
    """Whether a failure began with a refused connection, or with an unknown host."""
    while error and not isinstance(error, ConnectionRefusedError | socket.gaierror):
        error = error.__cause__ or error.__context__
    return error is not None


def first_line(error: BaseException) -> str:
    """What an error says, in one line of bounded length."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return textwrap.shorten(lines[0], 300, placeholder=" ...")


@contextmanager
def alone_at(uri: str, folder: Path) -> Iterator[None]:
    """Waits until no other process sends to this SQLite file, or this run to another store.

    Two that send one run would both send what is missing, and two that make one SQLite file would
    replace each other's.
    """
    database = sqlite_path(uri)
    lock = RunFolder(database.parent if database else folder).mlflow_lock
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a")
    except OSError:  # a read-only folder: nobody is waited for
        yield
        return
    with file, locked(file, patience(PATIENCE, str(lock))):
        yield


def import_client(uri: str) -> None:
    """Imports what a store of this type needs, seconds of work.

    Raises:
        ImportError: MLflow is not installed, or broken.
    """
    # Nothing is sent to anyone but the chosen store, and a server needs no processes for the
    # evaluation of chats. Requests are not repeated by MLflow: one that was only slow would be
    # carried out twice, and whoever sends here looks first what has arrived.
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }.items():
        os.environ.setdefault(name, value)
    import mlflow.tracking

    if not uri.startswith("http"):
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for name in ("mlflow.store.db.utils", "sqlalchemy.pool"):  # the error itself says it
        logging.getLogger(name).setLevel(logging.CRITICAL)


def connect(uri: str) -> Any:
    """A client of the store; a SQLite file that does not exist is made, whole or not at all."""
    import_client(uri)
    from mlflow.tracking import MlflowClient

    path = sqlite_path(uri)
    if path and not path.exists():
        _create(path)
    return MlflowClient(tracking_uri=uri)


def _create(path: Path) -> None:
    """Makes a store in memory and writes it at once.

    MLflow makes its tables in some fifty steps. On a disk each would take time, and MLflow cannot
    go on after one that failed (full disk).
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with _CREATING:
        address = "sqlite:///:memory:"
        store = SqlAlchemyStore(address, _artifacts(path))
        try:
            made: Any = store.engine.raw_connection().driver_connection
            with atomic_path(path) as temporary, closing(sqlite3.connect(temporary)) as file:
                made.backup(file)
        finally:
            store.engine.dispose()


def experiment_id(client: Any, name: str, uri: str) -> str:
    """The id of an experiment, made if need be; of a SQLite file, with its artifacts beside it.

    Raises:
        StoreError: somebody has deleted it.
    """
    path = sqlite_path(uri)
    location = _artifacts(path) if path else None
    known = client.get_experiment_by_name(name)
    if known is None:
        return str(client.create_experiment(name, artifact_location=location, tags=TYPE))
    if known.lifecycle_stage != "active":
        raise StoreError(
            f"{uri}: the experiment {name} was deleted; restore it in MLflow, or set "
            "mlflow.experiment to another name"
        )
    if path and location:
        _relocate(path, known.artifact_location, location)
    return str(known.experiment_id)


def _artifacts(database: Path) -> str:
    return (real(database).parent / ARTIFACTS).as_uri()


def _relocate(database: Path, known: str, location: str) -> None:
    """Corrects the addresses of artifacts in a SQLite file that was moved or copied with them.

    MLflow keeps them absolute, so it would create the old folder again.
    """
    old, new = (Path(unquote(urlsplit(address).path)) for address in (known, location))
    if known == location or old.name != ARTIFACTS or (seen(old.exists) and not new.exists()):
        return
    with closing(sqlite3.connect(database, timeout=60)) as store, store:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            store.execute(
                f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1)"
                f" WHERE instr({column} || '/', :old || '/') = 1",
                {"old": known, "new": location},
            )
