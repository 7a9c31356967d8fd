"""Brings the MLflow run of a run's folder up to date with the folder, which stays the truth.

`sync` may be called at any time, any number of times, by several processes, and be killed at any
moment: it looks what the store has and sends the rest.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json
from vatrack.common.locks import locked
from vatrack.config import RunConfig, load_run_config
from vatrack.experiments.client import absolute, connect, experiment_id, patient, store_uri
from vatrack.experiments.content import Point, finite, params, read_points, tags
from vatrack.experiments.identity import Identity, identify, status
from vatrack.runs.fingerprint import comparison

UUID = "vatrack.run_uuid"  # tag: which training it is
FOLDER = "vatrack.folder"  # tag: where its folder is
SENT = "vatrack.sent"  # tag: which files have arrived, as JSON {name: digest}
FIXED = ("config.yaml", "environment.json")  # sent once
BATCH = 900  # metrics in one call; MLflow takes 1000
PARAMS_BATCH = 100
TURN_SECONDS = 120.0  # how long another process may send the same run


class StoreError(RuntimeError):
    """The store is unreachable or refuses. The message names the store."""


@dataclass(frozen=True)
class Summary:
    """What one call of `sync` did.

    Attributes:
        store: address of the store; `run_id`: of the MLflow run there.
        comparison: the tag that runs share that may be compared.
        created: whether the MLflow run is new.
        lines: how many lines of metrics.jsonl were sent; `files`: which files.
        status: RUNNING, FINISHED, FAILED or KILLED.
    """

    folder: Path
    store: str
    run_id: str
    comparison: str
    created: bool
    lines: int
    files: tuple[str, ...]
    status: str

    def __str__(self) -> str:
        parts = ["a new MLflow run"] * self.created + [f"{self.lines} lines"] * bool(self.lines)
        return (
            f"{self.folder}: {', '.join([*parts, *self.files]) or 'nothing new'} -> {self.store} "
            f"({self.status.lower()}, comparison {self.comparison})"
        )


def sync(folder: Path, to: str | None = None) -> Summary:
    """Sends to the store what it does not have yet.

    Args:
        folder: a run's, with its config.yaml; it may be read-only.
        to: address of another store than the run's own (see `client.store_uri`).

    Raises:
        InputError: the folder is none of a run, or one of its files cannot be read.
        StoreError: the store is unreachable, or refuses; calling again later sends the rest.
    """
    folder = Path(folder)
    run = run_config(folder)
    uri = absolute(to) if to else store_uri(folder, run)
    try:
        with _one_at_a_time(folder):
            return _sync(connect(uri), folder, run, uri)
    except (InputError, StoreError):
        raise
    except ImportError as error:
        raise StoreError(f"MLflow cannot be used here: {error}") from error
    # requests, SQLAlchemy, alembic, MLflow, the disk: whatever it is, the store lacks something
    except Exception as error:
        raise StoreError(f"{uri}: {first_line(error)}") from error


def run_config(folder: Path) -> RunConfig:
    """The resolved config of a run's folder.

    Raises:
        InputError: there is none, or it is not valid.
    """
    if not (folder / "config.yaml").is_file():
        raise InputError(
            f"{folder}: has no config.yaml; give the folder of a run, as `vatrack train` has "
            f"written it"
        )
    if (folder / "runs").is_dir():
        raise InputError(f"{folder}: holds runs, but is none; give {folder}/runs/*")
    return load_run_config(folder / "config.yaml")


def first_line(error: BaseException) -> str:
    """What an error says, in one line of bounded length."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return textwrap.shorten(lines[0], 300, placeholder=" ...")


def _sync(client: Any, folder: Path, run: RunConfig, uri: str) -> Summary:
    experiment = experiment_id(client, run.mlflow.experiment or run.dataset.name, uri)
    while True:
        identity = identify(folder)
        points, problems = read_points(folder / "metrics.jsonl", identity.started)
        # A training that starts anew removes the old lines, then writes its identity, then its
        # first line. So the lines are its own if the uuid is the same before and after reading.
        if identify(folder).uuid == identity.uuid:
            break
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        warnings.warn(f"MLflow: {problems[0]}{more}; the rest is sent", stacklevel=2)
    found = next(_search(client, experiment, UUID, identity.uuid), None)
    if found is None:
        mlflow_run = patient(
            client.create_run,
            experiment,
            start_time=identity.started,
            run_name=run.name,
            tags=tags(folder, run) | {UUID: identity.uuid, FOLDER: identity.folder},
        )
        _end_replaced(client, mlflow_run)
    else:
        mlflow_run = found
    run_id, now, ended = mlflow_run.info.run_id, *status(folder, identity)
    if mlflow_run.info.lifecycle_stage != "active":
        raise StoreError(
            f"{uri}: the MLflow run of {folder} was deleted; restore it in MLflow, or remove "
            f"{folder / 'mlflow.json'} for a new one"
        )
    _describe(client, mlflow_run, params(run), tags(folder, run) | {FOLDER: identity.folder})
    lines = _send_points(client, run_id, points)
    files = _send_files(client, mlflow_run, folder, identity)
    if mlflow_run.info.status != now:
        if now == "RUNNING":
            patient(client.update_run, run_id, status=now)
        else:
            patient(client.set_terminated, run_id, now, ended)
    return Summary(folder, uri, run_id, comparison(run), found is None, lines, tuple(files), now)


def _search(client: Any, experiment: str, tag: str, value: str) -> Iterator[Any]:
    """The MLflow runs with a tag; deleted ones, too."""
    from mlflow.entities import ViewType

    quote = "'" if "'" not in value else '"'
    if quote in value:  # no filter of MLflow can name such a value
        return
    wanted = f"tags.`{tag}` = {quote}{value}{quote}"
    yield from patient(client.search_runs, [experiment], wanted, run_view_type=ViewType.ALL)


def _end_replaced(client: Any, mlflow_run: Any) -> None:
    """Nobody will end the MLflow runs of earlier trainings in this folder that were cut short."""
    folder = mlflow_run.data.tags[FOLDER]
    for other in _search(client, mlflow_run.info.experiment_id, FOLDER, folder):
        replaced = other.info.run_id != mlflow_run.info.run_id
        if replaced and (other.info.lifecycle_stage, other.info.status) == ("active", "RUNNING"):
            patient(client.set_terminated, other.info.run_id, "KILLED")


def _describe(client: Any, mlflow_run: Any, settings: dict[str, str], tags: dict[str, str]) -> None:
    """Sends the settings and tags that are missing. Those that are there stay, but for FOLDER."""
    from mlflow.entities import Param, RunTag

    run_id, data = mlflow_run.info.run_id, mlflow_run.data
    new = [Param(name, value) for name, value in settings.items() if name not in data.params]
    for group in _groups(new, PARAMS_BATCH):
        patient(client.log_batch, run_id, params=group)
    missing = [
        RunTag(name, value)
        for name, value in tags.items()
        if name not in data.tags or (name == FOLDER and data.tags[name] != value)
    ]
    if missing:
        patient(client.log_batch, run_id, tags=missing)


def _send_points(client: Any, run_id: str, points: list[Point]) -> int:
    """Sends the points that the store lacks; returns how many.

    A call takes effect whole or not at all, and all values of a point are sent in one.
    """
    from mlflow.entities import Metric

    there = {
        (marker, metric.step)
        for marker in {point.marker for point in points}
        for metric in patient(client.get_metric_history, run_id, marker)
    }
    missing = [point for point in points if (point.marker, point.step) not in there]
    batch: list[Any] = []
    for point in missing:
        if batch and len(batch) + len(point.values) > BATCH:
            patient(client.log_batch, run_id, batch)
            batch = []
        batch += [Metric(name, v, point.time, point.step) for name, v in point.values.items()]
    if batch:
        patient(client.log_batch, run_id, batch)
    return len(missing)


def _send_files(client: Any, mlflow_run: Any, folder: Path, identity: Identity) -> list[str]:
    """Sends the files that have changed since they were last sent, and the final metrics with
    theirs; returns their names."""
    try:
        arrived = dict(json.loads(mlflow_run.data.tags.get(SENT, "{}")))
    except (ValueError, TypeError):  # somebody has edited the tag
        arrived = {}
    sent, run_id = [], mlflow_run.info.run_id
    for name, path in _files(folder, identity).items():
        known = arrived.get(name)
        # While a new training begins in the folder, its config is there before its identity: it
        # must not replace the old one's.
        digest = known if known and name in FIXED else _digest(path)
        if digest is None or digest == known:
            continue
        if name == "metrics.json":
            _send_metrics(client, mlflow_run, path)
        if path.is_dir():
            patient(client.log_artifacts, run_id, str(path), name)
        else:
            patient(client.log_artifact, run_id, str(path))
        arrived[name] = digest
        patient(client.set_tag, run_id, SENT, json.dumps(arrived))
        sent.append(name)
    return sent


def _files(folder: Path, identity: Identity) -> dict[str, Path]:
    files = {name: folder / name for name in FIXED}
    metrics = folder / (identity.metrics or "metrics.json")
    # Without a note, an older file is of an earlier training in this folder.
    if identity.metrics or (
        metrics.exists() and metrics.stat().st_mtime * 1000 >= identity.started
    ):
        files["metrics.json"] = metrics
    return files | ({"tables": folder / identity.tables} if identity.tables else {})


def _send_metrics(client: Any, mlflow_run: Any, path: Path) -> None:
    from mlflow.entities import Metric

    # With the file's time, what a killed call has sent already is the same point to the store when
    # it comes again.
    at, known = int(path.stat().st_mtime * 1000), mlflow_run.data.metrics
    values = finite(read_json(path))
    new = [Metric(name, v, at, 0) for name, v in values.items() if known.get(name) != v]
    for group in _groups(new, BATCH):
        patient(client.log_batch, mlflow_run.info.run_id, group)


def _groups(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _digest(path: Path) -> str | None:
    """Fingerprint of a file, or of the names and contents in a folder; None without either."""
    if not path.exists():
        return None
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(
                f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode() + file.read_bytes()
            )
    return digest.hexdigest()[:16]


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Waits until no other process sends this run: two at the same time would both send what is
    missing.

    Raises:
        StoreError: the other one takes too long.
    """
    deadline = time.monotonic() + TURN_SECONDS

    def wait() -> None:
        if time.monotonic() > deadline:
            raise StoreError(
                f"{folder}: another process has been sending this run for {TURN_SECONDS:.0f} s; "
                f"try later"
            )
        time.sleep(0.1)

    path = folder / ".mlflow.lock"
    try:
        file = path.open("a")
    except OSError:  # a read-only folder: whoever else may only read it waits for nobody
        yield
        return
    with file, locked(file, wait):
        yield
