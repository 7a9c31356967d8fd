"""Brings the MLflow run of a run's folder up to date with the folder, which stays the truth.

`sync` may be called at any time, any number of times, by several processes, and be killed at any
moment: it looks what the store has and sends the rest.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError, VatrackError
from vatrack.config import RunConfig, load_run_config
from vatrack.experiments.client import absolute, alone_at, connect, experiment_id, store_uri
from vatrack.experiments.content import finite, params, read_points, run_name, tags
from vatrack.experiments.description import description
from vatrack.experiments.identity import Identity, identify, status
from vatrack.experiments.names import EPOCH, VALIDATED_EPOCH, VERSION, results
from vatrack.experiments.views import missing, views
from vatrack.runs.fingerprint import comparison
from vatrack.runs.folder import RunFolder, read_metrics

UUID = "vatrack.run_uuid"  # tag: which training it is
FOLDER = "vatrack.folder"  # tag: where its folder is
SENT = "vatrack.sent"  # tag: which files have arrived, as JSON {name: digest}
NOTE = "mlflow.note.content"  # tag: the description


class StoreError(VatrackError):
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
        with alone_at(uri, folder):
            return _sync(connect(uri), folder, run, uri)
    except VatrackError:
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
    config = RunFolder(folder).config
    if not config.is_file():
        raise InputError(
            f"{folder}: has no {config.name}; give a run folder written by `vatrack train`"
        )
    if (folder / "runs").is_dir():
        raise InputError(f"{folder}: contains runs but is not a run folder; give {folder}/runs/*")
    return load_run_config(config)


def first_line(error: BaseException) -> str:
    """What an error says, in one line of bounded length."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return textwrap.shorten(lines[0], 300, placeholder=" ...")


def _sync(client: Any, folder: Path, run: RunConfig, uri: str) -> Summary:
    from mlflow.entities import Metric, Param, RunTag

    experiment = experiment_id(client, run.mlflow.experiment or run.dataset.name, uri)
    while True:
        identity = identify(folder)
        points, problems = read_points(
            RunFolder(folder).metrics_log, identity.started, run.selection.metric
        )
        # A new training removes the old lines, then writes its identity, then its first line. So
        # the lines are its own if the uuid is the same before and after reading.
        if identify(folder).uuid == identity.uuid:
            break
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        warnings.warn(f"MLflow: {problems[0]}{more}; the rest is uploaded", stacklevel=2)
    described = tags(folder, run) | {FOLDER: identity.folder, UUID: identity.uuid}
    known = next(_search(client, experiment, UUID, identity.uuid), None)
    name = run_name(run)
    copy = known or client.create_run(experiment, identity.started, described, name)
    run_id, now, ended = copy.info.run_id, *status(folder, identity)
    if copy.info.lifecycle_stage != "active":
        raise StoreError(
            f"{uri}: the MLflow run of {folder} was deleted; restore it in MLflow, or remove "
            f"{RunFolder(folder).mlflow} to create a new one"
        )
    if known is None:
        _end_replaced(client, experiment, run_id, identity.folder)
    there = {
        (marker, metric.step)
        for marker in (EPOCH, VALIDATED_EPOCH)
        for metric in client.get_metric_history(run_id, marker)
    }
    unsent = [point for point in points if (point.marker, point.step) not in there]
    here = copy.data.tags
    changed = {
        k: v for k, v in described.items() if k not in here or (k == FOLDER and here[k] != v)
    }
    new: tuple[list[Any], list[Any], list[Any]] = (
        [Metric(name, v, p.time, p.step) for p in unsent for name, v in p.values.items()],
        [Param(name, v) for name, v in params(run).items() if name not in copy.data.params],
        [RunTag(name, v) for name, v in changed.items()],
    )
    # MLflow sends this in pieces of a bounded size. Where a call is killed between two of them, the
    # line whose last value did not arrive comes again; to the store its values are the same ones.
    if any(new):
        client.log_batch(run_id, *new)
    if copy.info.run_name == run.name:  # what versions before this one called it
        client.update_run(run_id, name=name)
    files = _send_files(client, copy, folder, run, identity)
    wanted = views(comparison(run))
    for tag, view in missing(wanted, client.get_experiment(experiment).tags).items():
        client.set_experiment_tag(experiment, tag, view)
    if copy.info.status != now:
        if now == "RUNNING":
            client.update_run(run_id, now)
        else:
            client.set_terminated(run_id, now, ended)
    created, sent = known is None, len(unsent)
    return Summary(folder, uri, run_id, comparison(run), created, sent, tuple(files), now)


def _search(client: Any, experiment: str, tag: str, value: str) -> Iterator[Any]:
    """The MLflow runs with a tag; deleted ones, too."""
    from mlflow.entities import ViewType

    quote = "'" if "'" not in value else '"'
    if quote in value:  # no filter of MLflow can name such a value
        return
    wanted = f"tags.`{tag}` = {quote}{value}{quote}"
    yield from client.search_runs([experiment], wanted, ViewType.ALL)


def _end_replaced(client: Any, experiment: str, run_id: str, folder: str) -> None:
    """Nobody will end the MLflow runs of earlier trainings in this folder that were cut short."""
    for other in _search(client, experiment, FOLDER, folder):
        state = (other.info.lifecycle_stage, other.info.status)
        if other.info.run_id != run_id and state == ("active", "RUNNING"):
            client.set_terminated(other.info.run_id, "KILLED")


def _send_files(
    client: Any, copy: Any, folder: Path, run: RunConfig, identity: Identity
) -> list[str]:
    """Sends the files that have changed since they were last sent, and the description; returns
    the names of the files."""
    arrived = _arrived(copy.data.tags)
    sent, run_id, place, final = [], copy.info.run_id, RunFolder(folder), {}
    for name, path in _files(place, identity).items():
        # While a new training begins in the folder, its config is there before its identity: it
        # must not replace the old one's.
        once = path in (place.config, place.environment)
        digest = arrived[name] if once and name in arrived else _digest(path)
        if digest is None:
            continue
        if name == place.metrics.name:
            final = read_metrics(path, "evaluate the run again")
            digest = f"{digest}-{VERSION}"
        if digest == arrived.get(name):
            continue
        if final and name == place.metrics.name:
            _send_results(client, copy, final, path)
        if path.is_dir():
            client.log_artifacts(run_id, str(path), name)
        else:
            client.log_artifact(run_id, str(path))
        arrived[name] = digest
        client.set_tag(run_id, SENT, json.dumps(arrived))
        sent.append(name)
    _describe(client, copy, description(folder, run, final), arrived)
    return sent


def _arrived(tags: Mapping[str, str]) -> dict[str, str]:
    """Which files the store has, by name; none where somebody has edited the tag."""
    try:
        return dict(json.loads(tags.get(SENT, "{}")))
    except (ValueError, TypeError):
        return {}


def _send_results(client: Any, copy: Any, final: Mapping[str, Any], path: Path) -> None:
    """With the file's time, what a killed call has sent is the same point to the store."""
    from mlflow.entities import Metric

    at, there = int(path.stat().st_mtime * 1000), copy.data.metrics
    values = finite(results(final)).items()
    points = [Metric(name, value, at, 0) for name, value in values if there.get(name) != value]
    client.log_batch(copy.info.run_id, points)


def _describe(client: Any, copy: Any, text: str, arrived: dict[str, str]) -> None:
    """Writes the description, unless somebody has written another one in MLflow."""
    from mlflow.entities import RunTag

    there, ours = copy.data.tags.get(NOTE, ""), arrived.get(NOTE)
    if there == text or (there and ours != _text_digest(there)):
        return
    arrived[NOTE] = _text_digest(text)
    notes = [RunTag(NOTE, text), RunTag(SENT, json.dumps(arrived))]
    client.log_batch(copy.info.run_id, [], [], notes)


def _files(run: RunFolder, identity: Identity) -> dict[str, Path]:
    """What is sent besides curves, by the name that it has in the store."""
    files = {path.name: path for path in (run.config, run.environment)}
    made = {path.name: path for path in (run.metrics, run.overlay, run.overlay_video)}
    around = run.path.resolve().parent
    if around.name == "runs" and run.training.exists():  # results/DATASET/runs/NAME
        made |= {name: around.parent / name for name in ("tables", "figures", "report.html")}
    # An older file is of an earlier training in this folder.
    files |= {
        name: path
        for name, path in made.items()
        if path.exists() and path.stat().st_mtime * 1000 >= identity.started
    }
    if identity.metrics and (metrics := run.path / identity.metrics).exists():
        files[run.metrics.name] = metrics
    return files | ({"tables": run.path / identity.tables} if identity.tables else {})


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
