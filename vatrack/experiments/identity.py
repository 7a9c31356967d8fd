"""mlflow.json of a run's folder: the uuid by which the folder's MLflow run is found.

The uuid belongs to one training in one folder. A folder that was moved keeps it; a copy gets one of
its own as soon as it is looked at, because the folder that mlflow.json names still has it. (Where
that folder cannot be seen, as on another machine, a copy counts as moved.)
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import opened_folder, read_json, write_json
from vatrack.common.locks import held, locked, patience
from vatrack.runs.folder import RunFolder

PATIENCE = 60.0  # seconds to wait for another process that changes mlflow.json


@dataclass(frozen=True)
class Identity:
    """The content of mlflow.json.

    Attributes:
        uuid: of the training; its MLflow run carries it as a tag, in whatever store.
        folder: absolute path of the folder that the uuid belongs to.
        started: of the training, milliseconds since 1970; `ended` likewise.
        status: how its process says that it ended: FINISHED, FAILED or KILLED.
    """

    uuid: str
    folder: str
    started: int
    status: str | None = None
    ended: int | None = None


def begin(folder: Path, resume: bool) -> Identity:
    """Writes the identity of a training that starts or is resumed now.

    What an earlier training logged must be gone from the folder: it would be taken for this one's.
    """
    known = identify(folder) if resume else Identity(uuid.uuid4().hex, _path(folder), now())
    started = replace(known, status=None, ended=None)
    with _alone(folder):
        _write(folder, started)
    return started


def identify(folder: Path) -> Identity:
    """The identity of a run's folder; written down where it is new or the folder was moved.

    A folder that cannot be written gets a uuid that follows from its path.
    """
    with _alone(folder):
        known = read_identity(folder)
        if known is None:
            found = Identity(uuid.uuid4().hex, _path(folder), modified(RunFolder(folder).config))
        elif known.folder == _path(folder):
            return known
        else:
            new = uuid.uuid4().hex if _is_copy(folder, known) else known.uuid
            found = replace(known, uuid=new, folder=_path(folder))
        if os.access(folder, os.W_OK, effective_ids=True):
            _write(folder, found)
        elif known is None or found.uuid != known.uuid:
            found = replace(found, uuid=uuid.uuid5(uuid.NAMESPACE_URL, found.folder).hex)
        return found


def note(folder: Path, **changes: Any) -> None:
    """Changes values of the identity; does nothing where there is none."""
    with _alone(folder):
        known = read_identity(folder)
        if known is not None and (changed := replace(known, **changes)) != known:
            _write(folder, changed)


def read_identity(folder: Path) -> Identity | None:
    """The content of mlflow.json; None where there is none that can be read."""
    try:
        found = read_json(RunFolder(folder).mlflow)
        # Earlier versions noted more, which the folder tells as well.
        return Identity(**{field.name: found[field.name] for field in fields(Identity)})
    except (InputError, TypeError, KeyError):
        return None


def status(folder: Path, identity: Identity) -> tuple[str, int | None]:
    """MLflow's status of a training (RUNNING, FINISHED, FAILED, KILLED), and when it ended.

    The lock of the folder tells whether a training runs; where the file system has no locks, one
    that did not note its end counts as running.
    """
    run = RunFolder(folder)
    if run.training.exists():
        return "FINISHED", identity.ended or modified(run.training)
    if identity.status is not None:
        return identity.status, identity.ended
    if held(run.lock) is not False:
        return "RUNNING", None
    return "KILLED", modified(run.metrics_log) if run.metrics_log.exists() else None


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


def _write(folder: Path, identity: Identity) -> None:
    write_json(RunFolder(folder).mlflow, asdict(identity), indent=2)


def _is_copy(folder: Path, known: Identity) -> bool:
    original = Path(known.folder)
    if not original.is_dir() or original.samefile(folder):  # moved, or one folder by two paths
        return False
    found = read_identity(original)
    return found is not None and found.uuid == known.uuid


def _path(folder: Path) -> str:
    return str(folder.resolve())


def modified(path: Path) -> int:
    """When a file was changed, milliseconds since 1970."""
    return int(path.stat().st_mtime * 1000)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from changing mlflow.json for a moment; not while a store is asked."""
    with opened_folder(folder) as descriptor, locked(descriptor, patience(PATIENCE, str(folder))):
        yield
