"""How an MLflow store is reached. MLflow is imported when it is first needed."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from vatrack.common.locks import locked
from vatrack.config import RunConfig

TYPE = {"mlflow.experimentKind": "custom_model_development"}  # of trainings, not of chats
ARTIFACTS = "mlartifacts"
BUSY_SECONDS = 60.0  # SQLite knows one writer at a time; others wait

T = TypeVar("T")


def store_uri(folder: Path, run: RunConfig) -> str:
    """The store of a run: the config's, else that of $MLFLOW_TRACKING_URI, else mlflow.db beside
    the runs.

    Beside the runs is the results folder: for results/runs/NAME it is results. It is looked up
    from the run's folder each time, so that results can be moved.
    """
    named = run.mlflow.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        return absolute(named)
    above = folder.resolve().parent
    return sqlite_uri((above.parent if above.name == "runs" else above) / "mlflow.db")


def absolute(uri: str) -> str:
    """The address with the path of a SQLite file made absolute."""
    path = sqlite_path(uri)
    if path is None or path.is_absolute():
        return uri
    address, query = sqlite_uri(path.resolve()), uri.partition("?")[2]
    return f"{address}{'&' if '?' in address else '?'}{query}" if query else address


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file.

    Example:
        >>> sqlite_uri(Path("/data/why?/mlflow.db"))
        'sqlite+pysqlite:///file:/data/why%3F/mlflow.db?uri=true'
    """
    if not set("?#") & set(str(path)):
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
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)


def connect(uri: str) -> Any:
    """A client of the store; a SQLite file that does not exist is made."""
    import_client(uri)
    from mlflow.tracking import MlflowClient

    with _set_up(uri):
        return MlflowClient(tracking_uri=uri)


def experiment_id(client: Any, name: str, uri: str) -> str:
    """The id of an experiment, which is made if need be.

    One in a SQLite file keeps its artifacts beside that file.

    Raises:
        RuntimeError: somebody has deleted it.
    """
    path = sqlite_path(uri)
    location = (path.resolve().parent / ARTIFACTS).as_uri() if path else None
    with _set_up(uri):
        known = patient(client.get_experiment_by_name, name)
        if known is None:
            return str(
                patient(client.create_experiment, name, artifact_location=location, tags=TYPE)
            )
        if path and location:
            _relocate(path, known.artifact_location, location)
    if known.lifecycle_stage != "active":
        raise RuntimeError(
            f"the experiment {name} was deleted; restore it in MLflow or set mlflow.experiment to "
            f"another name"
        )
    return str(known.experiment_id)


def _relocate(database: Path, known: str, location: str) -> None:
    """Corrects the address of the artifacts in a SQLite store that was moved or copied with them.

    MLflow keeps absolute addresses, so it would create the old folder again.
    """
    old, new = (Path(unquote(urlsplit(address).path)) for address in (known, location))
    if known == location or old.name != ARTIFACTS or (old.exists() and not new.exists()):
        return
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as store, store:
        store.execute(
            "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?",
            (location, known),
        )
        store.execute(
            "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)"
            " WHERE substr(artifact_uri, 1, ?) = ?",
            (f"{location}/", len(known) + 2, len(known) + 1, f"{known}/"),
        )


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


@contextmanager
def _set_up(uri: str) -> Iterator[None]:
    """Makes processes that start together set up a SQLite file one by one, or it breaks."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / ".mlflow.lock").open("w") as file, locked(file):
        yield
