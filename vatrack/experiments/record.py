"""mlflow.json of a run's folder: which entry of which store is the copy of this training."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json, write_json
from vatrack.common.locks import locked
from vatrack.config import RunConfig

RECORD = "mlflow.json"


@dataclass(frozen=True)
class Record:
    """The content of mlflow.json. It is there before the entry is, so that an entry is found again
    whose id was never noted.

    `identity` is the training's own, whatever store its copy is in, and becomes a tag. `started`
    and `ended` are milliseconds since 1970. `metrics` (a file) and `tables` (a folder) were made by
    later stages; their paths start at the run's folder.
    """

    identity: str
    tracking_uri: str
    experiment: str
    started: int
    run_id: str | None = None
    status: str = "RUNNING"
    ended: int | None = None
    metrics: str | None = None
    tables: str | None = None


def tracking_uri(run: RunConfig) -> str:
    """The config's store, else the one of $MLFLOW_TRACKING_URI, else a SQLite file in the results
    folder."""
    return named_uri(run) or f"sqlite:///{run.results.resolve() / 'mlflow.db'}"


def named_uri(run: RunConfig) -> str | None:
    """The store that the config or $MLFLOW_TRACKING_URI name."""
    return run.mlflow.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or None


def experiment_name(run: RunConfig) -> str:
    """The config's experiment, else the data set's name."""
    return run.mlflow.experiment or run.dataset.name


def begin(folder: Path, run: RunConfig, resume: bool) -> Record:
    """Writes the record of a training that starts, or goes on, now.

    What an earlier training logged must be gone from the folder: it would be taken for this one's.

    Args:
        folder: the run's.
        run: the resolved config.
        resume: go on with the entry that the folder names, if it names one.
    """
    uri = tracking_uri(run)
    with _alone(folder):
        known = read_record(folder) if resume else None
        if known is None:
            record = Record(uuid.uuid4().hex, uri, experiment_name(run), now())
        else:
            run_id = known.run_id if known.tracking_uri == uri else None
            record = replace(known, tracking_uri=uri, run_id=run_id, status="RUNNING", ended=None)
        _write(folder, record)
    return record


def adopt(folder: Path, record: Record) -> Record:
    """Writes a record where there is none; returns the one that is there then."""
    with _alone(folder):
        known = read_record(folder)
        if known is None:
            _write(folder, record)
        return known or record


def update(folder: Path, identity: str | None = None, **changes: Any) -> Record | None:
    """Changes values of the record; does nothing where there is none, or it is another training's
    than `identity`."""
    with _alone(folder):
        known = read_record(folder)
        if known is None or identity not in (None, known.identity):
            return None
        changed = replace(known, **changes)
        if changed != known:
            _write(folder, changed)
        return changed


def read_record(folder: Path) -> Record | None:
    """The record, if there is one that can be read."""
    try:
        return Record(**read_json(Path(folder) / RECORD))
    except (InputError, TypeError):
        return None


def guess(folder: Path, run: RunConfig) -> Record:
    """A record for a folder that has none, from the times of its files."""
    complete = folder / "training.json"
    ended = _modified(complete) if complete.exists() else None
    return Record(
        identity=uuid.uuid4().hex,
        tracking_uri=tracking_uri(run),
        experiment=experiment_name(run),
        started=_modified(folder / "config.yaml"),
        status="RUNNING" if ended is None else "FINISHED",
        ended=ended,
        metrics="metrics.json"
        if ended is not None and (folder / "metrics.json").exists()
        else None,
    )


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def _modified(path: Path) -> int:
    return int(path.stat().st_mtime * 1000)


def _write(folder: Path, record: Record) -> None:
    write_json(folder / RECORD, asdict(record), indent=2)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from changing the record meanwhile; only for moments, never while a
    store is asked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with locked(descriptor):
            yield
    finally:
        os.close(descriptor)
