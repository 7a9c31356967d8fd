"""Copies what a run's folder holds into MLflow, so that runs can be compared there.

The folder stays the source of truth: no failure of MLflow ends a stage, it only warns. MLflow is imported when it is first
needed, and may be missing.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from vatrack.config import RunConfig
from vatrack.errors import InputError
from vatrack.files import read_json, write_json

RECORD = "mlflow.json"
BATCH = 500  # metrics in one call; MLflow takes 1000
FLUSH_SECONDS = 10.0
RETRY_SECONDS = 60.0  # after a failure, the store is left alone for this long
LOCK_PATIENCE_SECONDS = 60.0  # SQLite knows one writer at a time; others wait
PARAMS_BATCH = 100
PARAM_LENGTH = 6000

T = TypeVar("T")


class ExperimentLog:
    """One run's entry in MLflow, or nothing at all where MLflow is off, missing or away."""

    def __init__(self, client: Any = None, run_id: str = "") -> None:
        self._client = client
        self._run_id = run_id
        self._pending: list[tuple[str, float, int, int]] = []
        self._next_flush = 0.0
        self._warned = False

    @classmethod
    def start(cls, run: RunConfig, out: Path, resume: bool = False) -> ExperimentLog:
        """Opens an entry with the run's settings and writes `mlflow.json` ({run_id, tracking_uri, experiment}) into `out`.

        A config.yaml that already lies in `out` becomes an artifact.

        Args:
            run: the resolved config.
            out: the run's folder.
            resume: continue the entry that `out` already names, if the store still has it.
        """
        if not run.mlflow.enabled:
            return cls()
        try:
            import mlflow  # noqa: F401
        except ImportError:
            warnings.warn("mlflow is not installed; the run is recorded in its folder only", stacklevel=2)
            return cls()
        try:
            log = cls(*_open(run, out, resume))
        except Exception as error:
            _warn("the run is recorded in its folder only", error)
            return cls()
        if (out / "config.yaml").exists():
            log.artifact(out / "config.yaml")
        return log

    def log(self, step: int, values: Mapping[str, float | None]) -> None:
        """Adds values at a step; they are sent in batches. Undefined and infinite values are left out."""
        if self._client is None:
            return
        now = int(time.time() * 1000)
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                self._pending.append((metric_name(name), float(value), now, step))
        if len(self._pending) >= BATCH or time.monotonic() >= self._next_flush:
            self._flush()

    def log_validation(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Adds the metrics of a validation, under `validation/`."""
        self.log(step, {f"validation/{name}": value for name, value in metrics.items()})

    def artifact(self, path: Path) -> None:
        """Adds a file."""
        if self._client is not None:
            self._attempt(f"{path} was not copied", self._client.log_artifact, self._run_id, str(path))

    def close(self, status: str = "FINISHED") -> None:
        """Sends what is left and ends the entry: FINISHED, FAILED or KILLED."""
        if self._client is not None:
            self._flush()
            self._attempt("the entry stays open", self._client.set_terminated, self._run_id, status)

    def _flush(self) -> None:
        from mlflow.entities import Metric

        self._next_flush = time.monotonic() + FLUSH_SECONDS
        while self._pending:
            batch = [Metric(*entry) for entry in self._pending[:BATCH]]
            if not self._attempt("curves are sent later", self._client.log_batch, self._run_id, batch):
                self._next_flush = time.monotonic() + RETRY_SECONDS
                return
            del self._pending[:BATCH]

    def _attempt(self, consequence: str, call: Callable[..., Any], *arguments: Any) -> bool:
        """Whether the call succeeded; the first failure is told."""
        try:
            _patient(call, *arguments)
            return True
        except Exception as error:
            if not self._warned:
                _warn(consequence, error)
            self._warned = True
            return False


def log_evaluation(run: Path, metrics: Path) -> None:
    """Adds the final metrics to the entry of a run, and their file; does nothing where the run has no entry."""
    values = {metric_name(name): value for name, value in read_json(metrics).items() if value is not None}

    def send(client: Any, run_id: str) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(name, float(value), now, 0) for name, value in values.items()]
        for start in range(0, len(entries), BATCH):
            client.log_batch(run_id, metrics=entries[start : start + BATCH])
        client.log_artifact(run_id, str(metrics))

    _add(run, send)


def log_tables(runs: list[Path], tables: Path) -> None:
    """Adds the files of a folder to the entries of runs, under `tables/`."""
    for run in runs:
        _add(run, lambda client, run_id: client.log_artifacts(run_id, str(tables), "tables"))


def metric_name(name: str) -> str:
    """The name with every character that MLflow refuses replaced by an underscore."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} becomes {"a.b": 1}; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def tracking_uri(run: RunConfig) -> str:
    """The config's store, else the one of $MLFLOW_TRACKING_URI, else a SQLite file in the results folder."""
    default = f"sqlite:///{run.results.resolve() / 'mlflow.db'}"
    return run.mlflow.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or default


def _open(run: RunConfig, out: Path, resume: bool) -> tuple[Any, str]:
    """The client and the id of the run's entry, which is made if need be."""
    uri = tracking_uri(run)
    experiment = run.mlflow.experiment or run.dataset.name
    record = Path(out) / RECORD
    run.results.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(run.results / ".mlflow.lock"):
        client = _client(uri)
        if resume and (run_id := _recorded(client, record, uri)):
            _patient(client.update_run, run_id, status="RUNNING")
            return client, run_id
        experiment_id = _experiment(client, experiment, run, uri)
    tags = {"method": run.method.value, "backbone": run.backbone.value, "dataset": run.dataset.name}
    run_id = _patient(client.create_run, experiment_id, run_name=run.name, tags=tags).info.run_id
    _log_params(client, run_id, run)
    write_json(record, {"run_id": run_id, "tracking_uri": uri, "experiment": experiment}, indent=2)
    return client, run_id


def _client(uri: str) -> Any:
    # Nothing is sent to anyone but the chosen store, and a server that is away must not stop a training for minutes.
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _recorded(client: Any, record: Path, uri: str) -> str | None:
    """The id of the entry that a run's folder names, if this store has it."""
    try:
        known = read_json(record)
        if known["tracking_uri"] == uri:
            return client.get_run(known["run_id"]).info.run_id
    except (InputError, KeyError, _mlflow_error()):
        pass
    return None


def _mlflow_error() -> type[Exception]:
    from mlflow.exceptions import MlflowException

    return MlflowException


def _experiment(client: Any, name: str, run: RunConfig, uri: str) -> str:
    """The id of the experiment; one in a local SQLite file keeps its artifacts beside it."""
    known = _patient(client.get_experiment_by_name, name)
    if known:
        return known.experiment_id
    location = (run.results.resolve() / "mlartifacts").as_uri() if uri.startswith("sqlite:") else None
    return _patient(client.create_experiment, name, artifact_location=location)


def _log_params(client: Any, run_id: str, run: RunConfig) -> None:
    from mlflow.entities import Param

    flat = flatten(run.model_dump(mode="json", exclude={"mlflow", "launcher", "results"}))
    params = [Param(name, str(value)[:PARAM_LENGTH]) for name, value in flat.items()]
    for start in range(0, len(params), PARAMS_BATCH):
        _patient(client.log_batch, run_id, params=params[start : start + PARAMS_BATCH])


def _add(run: Path, send: Callable[[Any, str], Any]) -> None:
    """Calls `send` with the client and id of a run's entry; a failure is only told."""
    record = Path(run) / RECORD
    if not record.exists():
        return
    try:
        known = read_json(record)
        client = _client(known["tracking_uri"])
        _patient(send, client, known["run_id"])
    except Exception as error:
        _warn(f"the entry of {run} was not completed", error)


def _patient(call: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Repeats a call while another process writes to the SQLite file."""
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
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
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Makes processes that start together set up the store one after another (two at once break a new SQLite file)."""
    with path.open("w") as file:
        # Some network file systems have no locks; then the store is set up without.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _warn(consequence: str, error: Exception) -> None:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    warnings.warn(f"MLflow: {first}; {consequence}", stacklevel=3)
