"""mlflow.json of a run's folder: the uuid by which the folder's MLflow run is found, and how the
training ended.

The uuid belongs to one training in one folder. A folder that was moved keeps it; a copy gets one of
its own as soon as it is looked at, because the folder that mlflow.json names still has it. (Where
that folder cannot be seen, as on another machine, a copy counts as moved.)
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.paths import same_file, seen
from vatrack.common.value_files import read_json
from vatrack.runs.folder import RunFolder


@dataclass(frozen=True)
class Identity:
    """The content of mlflow.json.

    Attributes:
        uuid: of the training; its MLflow run carries it as a tag, in whatever store.
        folder: absolute path of the folder that the uuid belongs to.
        started: of the training, milliseconds since 1970.
        status: how it ended, as it noted itself: FINISHED, FAILED or KILLED; None: it runs, or was
            killed before it could.
        ended: when it noted that, milliseconds since 1970.
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
    if resume:
        return _write(folder, replace(identify(folder), status=None, ended=None))
    new = Identity(uuid.uuid4().hex, str(folder.resolve()), _now())
    return _write(folder, new)


def end(folder: Path, status: str) -> None:
    """Notes that the training has ended: FINISHED, FAILED or KILLED."""
    _write(folder, replace(identify(folder), status=status, ended=_now()))


def identify(folder: Path) -> Identity:
    """The identity of a run's folder; written down where it is new or the folder was moved."""
    known, here = read_identity(folder), str(folder.resolve())
    if known and known.folder == here:
        return known
    writable = os.access(folder, os.W_OK, effective_ids=True)
    if known and not _is_copy(folder, known):
        found = replace(known, folder=here)
    else:
        # It must be the same one next time, also where it cannot be written down.
        own = uuid.uuid4() if writable else uuid.uuid5(uuid.NAMESPACE_URL, here)
        first = known or Identity("", here, modified(RunFolder(folder).config))
        found = replace(first, uuid=own.hex, folder=here)
    return _write(folder, found) if writable else found


def read_identity(folder: Path) -> Identity | None:
    """The content of mlflow.json; None where there is none that can be read."""
    try:
        found = read_json(RunFolder(folder).mlflow)
        # Earlier versions noted more, which the folder tells as well, and not how it ended.
        names = [field.name for field in fields(Identity) if field.name in found]
        return Identity(**{name: found[name] for name in names})
    except (InputError, TypeError):
        return None


def modified(path: Path) -> int:
    """When a file was changed, milliseconds since 1970."""
    return int(path.stat().st_mtime * 1000)


def _now() -> int:
    return int(time.time() * 1000)


def _write(folder: Path, identity: Identity) -> Identity:
    write_json(RunFolder(folder).mlflow, asdict(identity), indent=2)
    return identity


def _is_copy(folder: Path, known: Identity) -> bool:
    original = Path(known.folder)
    if not seen(original.is_dir) or same_file(original, folder):  # moved, or one by two paths
        return False
    found = read_identity(original)
    return found is not None and found.uuid == known.uuid
