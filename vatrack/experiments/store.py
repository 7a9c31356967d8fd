"""Brings the MLflow run of a run's folder up to date with the folder, which stays the truth.

`sync` may be called at any time, any number of times, by several processes, and be killed at any
moment: it looks what the store has and sends the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.locks import held
from vatrack.common.text_files import no_such
from vatrack.config import RunConfig, load_run_config
from vatrack.experiments import content
from vatrack.experiments.client import (
    StoreError,
    alone_at,
    connect,
    experiment_id,
    naming_store,
    store_uri,
)
from vatrack.experiments.identity import Identity, identify, modified
from vatrack.experiments.pages import missing_views
from vatrack.runs.fingerprint import comparison
from vatrack.runs.folder import RunFolder

UUID = "vatrack.run_uuid"  # tag: which training it is
FOLDER = "vatrack.folder"  # tag: where its folder is
SENT = "vatrack.sent"  # tag: digests of the files and the description that have arrived, as JSON
NOTE = "mlflow.note.content"  # tag: the description


@dataclass(frozen=True)
class Summary:
    """What one call of `sync` did.

    Attributes:
        store: address of the store; `run_id`: of the MLflow run there.
        status: RUNNING, FINISHED, FAILED or KILLED.
        comparison: the tag that runs share that may be compared.
        sent: what the store lacked: "a new MLflow run", "3 lines", "config.yaml", ...
    """

    folder: Path
    store: str
    run_id: str
    status: str
    comparison: str
    sent: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.folder}: {', '.join(self.sent) or 'nothing new'} -> {self.store} "
            f"({self.status.lower()}, comparison {self.comparison})"
        )


def sync(folder: Path, to: str | None = None, status: str | None = None) -> Summary:
    """Sends to the store what it does not have yet.

    Args:
        folder: a run's, with its config.yaml; it may be read-only.
        to: address of another store than the run's own (see `client.store_uri`).
        status: of the training, where the caller knows it; None: its folder tells.

    Raises:
        InputError: the folder is none of a run, or one of its files cannot be read.
        ImportError: MLflow is not installed, or broken.
        StoreError: the store is unreachable, or refuses; calling again later sends the rest.
    """
    folder = Path(folder)
    run = run_config(folder)
    uri = to or store_uri(folder, run)
    with naming_store(uri), alone_at(uri, folder):
        return _sync(connect(uri), folder, run, uri, status)


def run_config(folder: Path) -> RunConfig:
    """The resolved config of a run's folder.

    Raises:
        InputError: there is none, or it is not valid.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: {no_such(folder, 'folder')}; give a run folder written by `vatrack train`"
        )
    config = RunFolder(folder).config
    if not config.is_file():
        raise InputError(
            f"{folder}: has no {config.name}; give a run folder written by `vatrack train`"
        )
    if (folder / "runs").is_dir():
        raise InputError(f"{folder}: contains runs but is not a run folder; give {folder}/runs/*")
    return load_run_config(config)


def _sync(client: Any, folder: Path, run: RunConfig, uri: str, status: str | None) -> Summary:
    from mlflow.entities import ViewType

    experiment = experiment_id(client, run.mlflow.experiment or run.dataset.name, uri)
    identity, points = _read(folder, run)
    tags = content.tags(folder, run) | {FOLDER: identity.folder, UUID: identity.uuid}
    wanted = f"tags.`{UUID}` = '{identity.uuid}'"
    known = next(iter(client.search_runs([experiment], wanted, ViewType.ALL)), None)
    copy = known or client.create_run(experiment, identity.started, tags, content.run_name(run))
    run_id = copy.info.run_id
    if copy.info.lifecycle_stage != "active":
        raise StoreError(
            f"{uri}: the MLflow run of {folder} was deleted; restore it in MLflow, or remove "
            f"{RunFolder(folder).mlflow} to create a new one"
        )
    if known is None:
        _end_replaced(client, experiment, run_id, identity.folder)
    arrived = _arrived(copy.data.tags)
    files = _files(RunFolder(folder), identity, arrived)
    final = content.final_metrics(files.get(RunFolder(folder).metrics.name))
    note, text = copy.data.tags.get(NOTE, ""), content.description(folder, run, final.values)
    if not note or arrived.get(NOTE) == _digest(note.encode()):  # one written in MLflow stays
        arrived[NOTE] = _digest(text.encode())
        tags |= {NOTE: text, SENT: json.dumps(arrived)}
    sent = ["a new MLflow run"] if known is None else []
    sent += _send_values(client, copy, points, final, content.params(run), tags)
    sent += _send_files(client, run_id, files, arrived)
    views = missing_views(comparison(run), client.get_experiment(experiment).tags)
    for tag, view in views.items():
        client.set_experiment_tag(experiment, tag, view)
    now = status or _status(RunFolder(folder), identity, copy.info.status)
    if now != copy.info.status and now == "RUNNING":
        client.update_run(run_id, now)
    elif now != copy.info.status:
        client.set_terminated(run_id, now, identity.ended or _last_change(RunFolder(folder)))
    return Summary(folder, uri, run_id, now, comparison(run), tuple(sent))


def _read(folder: Path, run: RunConfig) -> tuple[Identity, list[content.Point]]:
    """Which training the folder holds, and its curves."""
    while True:
        identity = identify(folder)
        log = RunFolder(folder).metrics_log
        points = content.read_points(log, identity.started, run.selection.metric)
        # A new training removes the old lines, then writes its identity, then its first line. So
        # the lines are its own if the uuid is the same before and after reading.
        if identify(folder).uuid == identity.uuid:
            return identity, points


def _end_replaced(client: Any, experiment: str, run_id: str, folder: str) -> None:
    """Nobody will end the MLflow runs of earlier trainings in this folder that were cut short."""
    for other in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if other.info.run_id != run_id and other.data.tags.get(FOLDER) == folder:
            client.set_terminated(other.info.run_id, "KILLED")


def _status(run: RunFolder, identity: Identity, there: str) -> str:
    """MLflow's status of a training (RUNNING, FINISHED, FAILED, KILLED).

    How it ended is noted in the folder. Of one that could not note it, the folder's lock tells
    whether it runs; where the file system has no locks, nothing does.

    Args:
        there: the status in the store.
    """
    if run.training.exists():
        return "FINISHED"
    if identity.status:
        return identity.status
    runs = held(run.lock)
    if runs:
        return "RUNNING"
    return "KILLED" if runs is False and there == "RUNNING" else there


def _last_change(run: RunFolder) -> int:
    paths = (run.config, run.metrics_log, run.training)
    return max(modified(path) for path in paths if path.exists())


def _send_values(
    client: Any,
    copy: Any,
    points: list[content.Point],
    final: content.Point,
    settings: Mapping[str, str],
    tags: Mapping[str, str],
) -> list[str]:
    """Sends what the store lacks of curves, final metrics, parameters and tags."""
    from mlflow.entities import Metric, Param, RunTag

    run_id, there = copy.info.run_id, copy.data
    arrived = {
        (marker, metric.step)
        for marker in (content.EPOCH, content.VALIDATED_EPOCH)
        for metric in client.get_metric_history(run_id, marker)
    }
    lines = [point for point in points if (list(point.values)[-1], point.step) not in arrived]
    changed = {k: v for k, v in final.values.items() if there.metrics.get(k) != v}
    values = [*lines, content.Point(final.step, final.time, changed)]
    metrics = [
        Metric(k, v, point.time, point.step) for point in values for k, v in point.values.items()
    ]
    missing = [Param(k, v) for k, v in settings.items() if k not in there.params]
    follow = (FOLDER, NOTE, SENT)  # the other tags stay as they were sent first
    tagged = [
        RunTag(k, v)
        for k, v in tags.items()
        if k not in there.tags or (k in follow and there.tags[k] != v)
    ]
    # MLflow sends this in pieces of a bounded size. Where a call is killed between two of them, the
    # line whose last value did not arrive comes again; to the store its values are the same ones.
    if metrics or missing or tagged:
        client.log_batch(run_id, metrics, missing, tagged)
    counts = ((len(lines), "line"), (len(changed), "final metric"))
    return [counted(count, what) for count, what in counts if count]


def _files(run: RunFolder, identity: Identity, arrived: Mapping[str, str]) -> dict[str, Path]:
    """What is sent besides values, by the name that it has in the store."""
    made = [run.metrics, run.overlay, run.overlay_video]
    around = run.path.resolve().parent
    if around.name == "runs" and run.training.exists():  # results/DATASET/runs/NAME
        made += [around.parent / name for name in ("tables", "figures", "report.html")]
    # An older file is of an earlier training in this folder.
    files = [path for path in made if path.exists() and modified(path) >= identity.started]
    # While a new training begins in the folder, its config is there before its identity: it must
    # not replace the old one's.
    begun = [path for path in (run.config, run.environment) if path.name not in arrived]
    return {path.name: path for path in (*begun, *files) if path.exists()}


def _send_files(
    client: Any, run_id: str, files: Mapping[str, Path], arrived: dict[str, str]
) -> list[str]:
    """Sends the files and folders that have changed since they were sent; returns their names."""
    sent = []
    for name, path in files.items():
        digest = _digest(path)
        if digest == arrived.get(name):
            continue
        if path.is_dir():
            client.log_artifacts(run_id, str(path), name)
        else:
            client.log_artifact(run_id, str(path))
        arrived[name] = digest
        client.set_tag(run_id, SENT, json.dumps(arrived))
        sent.append(name)
    return sent


def _arrived(tags: Mapping[str, str]) -> dict[str, str]:
    """The digests of what the store has; none where somebody has edited the tag."""
    try:
        return dict(json.loads(tags.get(SENT, "{}")))
    except (ValueError, TypeError):
        return {}


def _digest(content: bytes | Path) -> str:
    """Of a text's bytes, a file, or the files in a folder with their names."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()[:16]
    digest = hashlib.sha256()
    for file in sorted(content.rglob("*")) if content.is_dir() else [content]:
        if file.is_file():
            digest.update(f"{file.relative_to(content)}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()[:16]
