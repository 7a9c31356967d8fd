"""Which MLflow store a run is sent to, and how it is reached. MLflow is imported when needed."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from vatrack.common.files import atomic_path, same_file
from vatrack.common.locks import locked, patience
from vatrack.config import RunConfig
from vatrack.runs.folder import RunFolder

TYPE = {"mlflow.experimentKind": "custom_model_development"}  # of trainings, not of chats
DATABASE = "mlflow.db"
PATIENCE = 120.0  # seconds to wait for another process that sends
ARTIFACTS = "mlartifacts"  # folder beside a SQLite file
# alembic keeps the migration that runs in variables of its modules, so that two at once in one
# process change each other's tables, whatever their files are. MLflow's own lock is not around
# a store that is made here.
_OPENING = threading.Lock()


def store_uri(folder: Path, run: RunConfig) -> str:
    """The config's store, else that of $MLFLOW_TRACKING_URI, else mlflow.db in the results folder.

    The results folder of results/DATASET/runs/NAME is results. (Without these levels, it is what
    the run's folder is in.) It is looked up each time, so that results can be moved.
    """
    named = run.mlflow.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        return absolute(named)
    results = folder.resolve().parent
    if results.name == "runs":
        results = results.parent
        if results.name == run.dataset.name or (results.parent / DATABASE).exists():
            results = results.parent
    return sqlite_uri(results / DATABASE)


def absolute(uri: str) -> str:
    """The address with the path of a SQLite file made absolute."""
    path = sqlite_path(uri)
    if path is None or path.is_absolute():
        return uri
    address, query = sqlite_uri(path.resolve()), uri.partition("?")[2]
    return f"{address}{'&' if '?' in address else '?'}{query}" if query else address


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file, with characters quoted that mean something in addresses."""
    if not set("?#%") & set(str(path)):
        return f"sqlite:///{path}"
    # SQLite takes quoted paths only with its own scheme, and MLflow wants the driver named then.
    return f"sqlite+pysqlite:///file:{quote(str(path))}?uri=true"


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store; None for other stores."""
    scheme, _, rest = uri.partition(":///")
    path = rest.partition("?")[0]
    if not path or scheme.partition("+")[0] != "sqlite":
        return None
    return Path(unquote(path.removeprefix("file:")) if path.startswith("file:") else path)


@contextmanager
def alone_at(uri: str, folder: Path) -> Iterator[None]:
    """Waits until no other process sends to this SQLite file, or this run to another store.

    Two that send one run would both send what is missing, and two that set up one SQLite file at
    the same time break it.
    """
    database = sqlite_path(uri)
    lock = database.parent / ".mlflow.lock" if database else RunFolder(folder).mlflow_lock
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = lock.open("a")
    except OSError:
        if database:
            raise
        yield  # the run's folder is read-only: nobody is waited for
        return
    with file, locked(file, patience(PATIENCE, str(lock))):
        yield


def import_client(uri: str) -> None:
    """Imports what a store of this type needs, seconds of work.

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
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for name in ("mlflow.store.db.utils", "sqlalchemy.pool"):  # the error itself says it
        logging.getLogger(name).setLevel(logging.CRITICAL)


def import_monitor() -> bool:
    """Imports what MLflow measures the machine with; returns whether it can be used here."""
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    try:
        import mlflow.system_metrics.system_metrics_monitor
        import mlflow.utils.autologging_utils  # noqa: F401
    except ImportError:  # no psutil
        return False
    return True


def connect(uri: str) -> Any:
    """A client of the store; a SQLite file that does not exist is made, whole or not at all.

    MLflow makes its tables in some fifty steps and cannot go on after one that failed (full disk).
    Threads of one process that connect at the same time wait for each other.
    """
    import_client(uri)
    from mlflow.tracking import MlflowClient

    path = sqlite_path(uri)
    with _OPENING:
        if path and not path.exists():
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            with atomic_path(path) as temporary, _written_later(temporary):
                address = library_uri(sqlite_uri(temporary))
                store = SqlAlchemyStore(address, _artifacts(path))  # type: ignore[no-untyped-call]
                store.engine.dispose()
        return MlflowClient(tracking_uri=library_uri(uri))


@contextmanager
def _written_later(path: Path) -> Iterator[None]:
    """SQLite does not wait for the disk after each of the many steps that make this file, which
    takes seconds: nobody reads it before it is whole, and then all of it is written at once."""
    from sqlalchemy import Engine, event

    def connected(connection: Any, _: object) -> None:
        if not isinstance(connection, sqlite3.Connection):  # another thread's, of another store
            return
        (_, _, file), *_ = connection.execute("PRAGMA database_list").fetchall()
        if file and same_file(file, path):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)


def library_uri(uri: str) -> str:
    """The address as SQLAlchemy takes it: from 2.1 on it decodes the path of a file itself."""
    if "%" not in uri or sqlite_path(uri) is None:
        return uri
    from sqlalchemy import make_url

    if make_url("sqlite:///%25").database == "%25":
        return uri
    path, mark, query = uri.partition("?")
    # With the driver named: MLflow would make the parents of the path as it is written here.
    place = path.partition(":///")[2].replace("%", "%25")
    return f"sqlite+pysqlite:///{place}{mark}{query}"


def experiment_id(client: Any, name: str, uri: str) -> str:
    """The id of an experiment, made if need be; of a SQLite file, with its artifacts beside it.

    Raises:
        RuntimeError: somebody has deleted it.
    """
    path = sqlite_path(uri)
    location = _artifacts(path) if path else None
    known = client.get_experiment_by_name(name)
    if known is None:
        return str(client.create_experiment(name, artifact_location=location, tags=TYPE))
    if known.lifecycle_stage != "active":
        raise RuntimeError(
            f"the experiment {name} was deleted; restore it in MLflow, or set mlflow.experiment to "
            "another name"
        )
    if path and location:
        _relocate(path, known.artifact_location, location)
    return str(known.experiment_id)


def _artifacts(database: Path) -> str:
    return (database.resolve().parent / ARTIFACTS).as_uri()


def _relocate(database: Path, known: str, location: str) -> None:
    """Corrects the addresses of artifacts in a SQLite file that was moved or copied with them.

    MLflow keeps them absolute, so it would create the old folder again.
    """
    old, new = (Path(unquote(urlsplit(address).path)) for address in (known, location))
    if known == location or old.name != ARTIFACTS or (old.exists() and not new.exists()):
        return
    with closing(sqlite3.connect(database, timeout=60)) as store, store:
        store.execute(
            "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?",
            (location, known),
        )
        store.execute(
            "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)"
            " WHERE substr(artifact_uri, 1, ?) = ?",
            (f"{location}/", len(known) + 2, len(known) + 1, f"{known}/"),
        )
