"""A run's entry in an MLflow store: found again or made, with its settings and tags."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json
from vatrack.config import RunConfig
from vatrack.experiments.client import experiment_id, patient
from vatrack.experiments.points import read_points
from vatrack.experiments.record import Record, guess, named_uri, update
from vatrack.runs.fingerprint import comparison, config_hash, flatten

IDENTITY = "vatrack.identity"
FOLDER = "vatrack.folder"
PARAMS_BATCH = 100
PARAM_LENGTH = 6000


class StoreError(RuntimeError):
    """The store is away or refuses. The message names the store."""


def open_entry(
    client: Any, folder: Path, run: RunConfig, record: Record, uri: str
) -> tuple[Any, bool]:
    """The entry of a run, and whether it was made just now. Its id is noted in the record before
    anything else is done.

    Raises:
        StoreError: somebody has deleted it.
    """
    own = record.tracking_uri == uri
    entry = _known(client, record.run_id) if own and record.run_id else None
    created = False
    if entry is None:
        experiment = experiment_id(client, record.experiment, uri)
        entry = next(_search(client, experiment, IDENTITY, record.identity), None)
        if entry is None:
            created = True
            entry = patient(
                client.create_run,
                experiment,
                start_time=record.started,
                run_name=run.name,
                tags=tags(folder, run) | {IDENTITY: record.identity, FOLDER: str(folder.resolve())},
            )
        # A copy for somebody else's store leaves the record as it is; a store that the settings
        # name becomes the run's own.
        if own or not record.run_id or uri == named_uri(run):
            update(folder, record.identity, run_id=entry.info.run_id, tracking_uri=uri)
    if entry.info.lifecycle_stage != "active":
        raise StoreError(
            f"{uri}: the entry of {folder} was deleted; restore it in MLflow, or remove "
            f"{folder / 'mlflow.json'} for a new one"
        )
    return entry, created


def lost_record(client: Any, folder: Path, run: RunConfig, uri: str) -> Record | None:
    """The record of a folder that has none any more: of the newest entry of this folder that holds
    the same curve."""
    base = replace(guess(folder, run), tracking_uri=uri)
    lines = {
        point.step: point
        for point in read_points(folder / "metrics.jsonl", base.started)
        if point.kind == "training"
    }
    for entry in _search(
        client, experiment_id(client, base.experiment, uri), FOLDER, str(folder.resolve())
    ):
        if entry.info.lifecycle_stage != "active" or IDENTITY not in entry.data.tags:
            continue
        curve = patient(client.get_metric_history, entry.info.run_id, "loss")
        if all(m.step in lines and lines[m.step].values.get("loss") == m.value for m in curve):
            started, identity = entry.info.start_time, entry.data.tags[IDENTITY]
            return replace(base, identity=identity, started=started, run_id=entry.info.run_id)
    return None


def end_replaced(client: Any, folder: Path, entry: Any) -> None:
    """Entries of earlier trainings in this folder that never came to their end have none to wait
    for any more."""
    for other in _search(client, entry.info.experiment_id, FOLDER, str(folder.resolve())):
        if other.info.run_id != entry.info.run_id and (
            other.info.lifecycle_stage,
            other.info.status,
        ) == ("active", "RUNNING"):
            patient(client.set_terminated, other.info.run_id, "KILLED")


def describe(client: Any, entry: Any, folder: Path, run: RunConfig) -> None:
    """Sends the settings and tags that are missing. Those that are there stay, as MLflow wants it
    of settings."""
    from mlflow.entities import Param, RunTag

    new = [
        Param(name, value) for name, value in params(run).items() if name not in entry.data.params
    ]
    for start in range(0, len(new), PARAMS_BATCH):
        patient(client.log_batch, entry.info.run_id, params=new[start : start + PARAMS_BATCH])
    missing = [
        RunTag(key, value) for key, value in tags(folder, run).items() if key not in entry.data.tags
    ]
    if missing:
        patient(client.log_batch, entry.info.run_id, tags=missing)


def params(run: RunConfig) -> dict[str, str]:
    """The settings of a run by their full names, without those of the machine."""
    flat = flatten(run.model_dump(mode="json", exclude={"mlflow", "launcher", "results"}))
    return {name: str(value)[:PARAM_LENGTH] for name, value in flat.items()}


def tags(folder: Path, run: RunConfig) -> dict[str, str]:
    """What runs are looked up by (docs/mlflow.md)."""
    found = {
        "method": run.method.value,
        "backbone": run.backbone.value,
        "dataset": run.dataset.name,
        "masks": ",".join(run.method.masks),
        "seed": str(run.seed),
        "config_hash": config_hash(run),
        "comparison": comparison(run),
        "mlflow.source.name": "vatrack",
    }
    with suppress(KeyError, OSError):  # a user without a name
        found["mlflow.user"] = getpass.getuser()
    try:
        revision = read_json(folder / "environment.json").get("git_revision")
    except (InputError, AttributeError):
        revision = None
    if revision:
        # MLflow shows its own tag as the run's version; it takes a bare revision only.
        found |= {
            "git_revision": revision,
            "mlflow.source.git.commit": revision.removesuffix("+changes"),
        }
    return found


def _known(client: Any, run_id: str) -> Any:
    """The entry of this id; None where the store does not have it (any more)."""
    from mlflow.exceptions import MlflowException

    try:
        return patient(client.get_run, run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _search(client: Any, experiment: str, tag: str, value: str) -> Iterator[Any]:
    """The entries with a tag, the newest first; deleted ones, too."""
    from mlflow.entities import ViewType

    quote = "'" if "'" not in value else '"'
    if quote in value:  # no filter of MLflow can name such a value
        return
    yield from patient(
        client.search_runs,
        [experiment],
        f"tags.`{tag}` = {quote}{value}{quote}",
        run_view_type=ViewType.ALL,
        order_by=["attributes.start_time DESC"],
    )
