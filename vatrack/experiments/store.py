"""Brings the entry of a run in an MLflow store up to date with the run's folder, which stays the
truth.

`sync` may be called at any time, any number of times, by several processes, and be killed at any
moment: it looks what the store has and sends the rest.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json
from vatrack.common.locks import locked
from vatrack.config import RunConfig, load_run_config
from vatrack.experiments.client import connect, patient
from vatrack.experiments.entry import StoreError, describe, end_replaced, lost_record, open_entry
from vatrack.experiments.points import MARKERS, Point, batches, finite, read_points
from vatrack.experiments.record import Record, adopt, guess, named_uri, read_record, tracking_uri
from vatrack.runs.fingerprint import comparison

BATCH = 900  # metrics in one call; MLflow takes 1000
TURN_SECONDS = 120.0  # how long another process may be at the same run
SENT = "vatrack.sent"  # tag: which files have arrived, as JSON {name: digest}
FIXED = ("config.yaml", "environment.json")  # sent once

__all__ = ["StoreError", "Summary", "first_line", "run_config", "store_of", "sync"]


@dataclass(frozen=True)
class Summary:
    """What one call of `sync` did: lines of metrics.jsonl and files that were sent."""

    folder: Path
    store: str
    run_id: str
    comparison: str
    created: bool
    lines: int
    files: tuple[str, ...]
    status: str

    def __str__(self) -> str:
        parts = (
            ["a new entry"] * self.created
            + [f"{self.lines} lines"] * bool(self.lines)
            + list(self.files)
        )
        return (
            f"{self.folder}: {', '.join(parts) or 'nothing new'} -> {self.store} "
            f"({self.status.lower()}, comparison {self.comparison})"
        )


def sync(folder: Path, to: str | None = None) -> Summary:
    """Sends to the store what it does not have yet.

    Args:
        folder: a run's, with its config.yaml.
        to: URI of another store than the run's own (see `store_of`).

    Raises:
        InputError: the folder is none of a run, or its config.yaml or metrics.json cannot be read.
        StoreError: the store is away, or refuses; calling again later sends the rest.
    """
    folder = Path(folder)
    run = run_config(folder)
    uri = to or store_of(folder, run)
    try:
        with _one_at_a_time(folder):
            client = connect(uri)
            while (summary := _sync(client, folder, run, uri)) is None:
                pass
            return summary
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


def store_of(folder: Path, run: RunConfig) -> str:
    """The run's own store: of the config, $MLFLOW_TRACKING_URI, mlflow.json, or the SQLite file in
    the results folder."""
    record = read_record(folder)
    return named_uri(run) or (record.tracking_uri if record else tracking_uri(run))


def first_line(error: BaseException) -> str:
    """What an error says, in one line of bounded length."""
    text = str(error).strip()
    return (
        textwrap.shorten(text.splitlines()[0], 300, placeholder=" ...")
        if text
        else type(error).__name__
    )


def _sync(client: Any, folder: Path, run: RunConfig, uri: str) -> Summary | None:
    """None: a training has begun in this folder at this very moment, look again."""
    record = read_record(folder)
    if record is None:
        record = adopt(folder, lost_record(client, folder, run, uri) or guess(folder, run))
    points = read_points(folder / "metrics.jsonl", record.started)
    # A training that starts anew removes the old lines, then writes its record, then its first
    # line. So the lines belong to the record if it is the same before and after they were read.
    again = read_record(folder)
    if again is None or again.identity != record.identity:
        return None
    entry, created = open_entry(client, folder, run, record, uri)
    if created:
        end_replaced(client, folder, entry)
    describe(client, entry, folder, run)
    lines = _send_points(client, entry.info.run_id, points)
    files = _send_files(client, entry, folder, record)
    if entry.info.status != record.status:
        if record.status == "RUNNING":
            patient(client.update_run, entry.info.run_id, status=record.status)
        else:
            patient(client.set_terminated, entry.info.run_id, record.status, record.ended)
    return Summary(
        folder, uri, entry.info.run_id, comparison(run), created, lines, tuple(files), record.status
    )


def _send_points(client: Any, run_id: str, points: list[Point]) -> int:
    """Sends the points that the store lacks; returns how many. A call takes effect whole or not at
    all, so a point does."""
    from mlflow.entities import Metric

    there = {
        kind: {m.step for m in patient(client.get_metric_history, run_id, name)}
        for kind, name in MARKERS.items()
    }
    missing = [point for point in points if point.step not in there[point.kind]]
    for group in batches(missing, BATCH):
        metrics = [
            Metric(name, value, p.milliseconds, p.step)
            for p in group
            for name, value in p.values.items()
        ]
        patient(client.log_batch, run_id, metrics)
    return len(missing)


def _send_files(client: Any, entry: Any, folder: Path, record: Record) -> list[str]:
    """Sends the files that have changed since they were last sent, and the final metrics with
    theirs; returns their names."""
    arrived = _arrived(entry)
    sent = []
    for name, path in _files(folder, record).items():
        known = arrived.get(name)
        # While a new training begins in the folder, its config is there before its record: it must
        # not replace the old one's.
        digest = known if known and name in FIXED else _digest(path)
        if digest is None or digest == known:
            continue
        if name == "metrics.json":
            _send_metrics(client, entry, path)
        if path.is_dir():
            patient(client.log_artifacts, entry.info.run_id, str(path), name)
        else:
            patient(client.log_artifact, entry.info.run_id, str(path))
        arrived[name] = digest
        patient(client.set_tag, entry.info.run_id, SENT, json.dumps(arrived))
        sent.append(name)
    return sent


def _files(folder: Path, record: Record) -> dict[str, Path]:
    files = {name: folder / name for name in (*FIXED, "metrics.json")}
    if record.metrics:
        files["metrics.json"] = folder / record.metrics
    elif (
        files["metrics.json"].exists()
        and files["metrics.json"].stat().st_mtime * 1000 < record.started
    ):
        del files["metrics.json"]  # of an earlier training in this folder
    return files | ({"tables": folder / record.tables} if record.tables else {})


def _arrived(entry: Any) -> dict[str, str]:
    try:
        return dict(json.loads(entry.data.tags.get(SENT, "{}")))
    except (ValueError, TypeError):  # somebody has edited the tag
        return {}


def _send_metrics(client: Any, entry: Any, path: Path) -> None:
    from mlflow.entities import Metric

    # With the file's time, what a killed call has sent already is the same point to the store when
    # it comes again.
    at = int(path.stat().st_mtime * 1000)
    values = finite(read_json(path))
    new = [
        Metric(name, value, at, 0)
        for name, value in values.items()
        if entry.data.metrics.get(name) != value
    ]
    for start in range(0, len(new), BATCH):
        patient(client.log_batch, entry.info.run_id, new[start : start + BATCH])


def _digest(path: Path) -> str | None:
    """Fingerprint of a file, or of the names and contents in a folder; None where there is
    nothing."""
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
    """Waits until no other process sends this run: two that look at the same time would both send
    what is missing.

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

    with (folder / ".mlflow.lock").open("w") as file, locked(file, wait):
        yield
