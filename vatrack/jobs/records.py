"""What is written down of a run's job, so that whoever comes to wait for it later finds it
again."""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import read_json, write_json
from vatrack.common.locks import locked
from vatrack.jobs.clusters import (
    Interrupted,
    LocalJob,
    SlurmJob,
    find_slurm_job,
    host,
    never,
    pause,
)


@dataclass(frozen=True)
class JobRecord:
    """A job that was submitted for a run's folder."""

    id: str
    cluster: str
    token: str  # names the folder; a copy of the folder elsewhere has no job
    key: str  # what the job was asked to do
    tasks: int
    host: str
    started: int | None = None  # local: see clusters.LocalJob
    collected: bool = False  # whether its result was taken

    def job(self) -> SlurmJob | LocalJob:
        """The job, to be asked after."""
        if self.cluster == "slurm":
            return SlurmJob(self.id)
        return LocalJob(self.id, self.started)


class Records:
    """The records of one job folder (`<run>/submitit`).

    Args:
        interrupted: whether a signal came; all waiting here ends then with `Interrupted`.
    """

    def __init__(self, folder: Path, interrupted: Callable[[], bool] = never) -> None:
        self.folder, self._interrupted = folder, interrupted
        self.path = folder / "job.json"
        self.token = f"vatrack-{digest(str(folder.resolve()), getpass.getuser())}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time looks for a job and submits one. (Not on file systems without
        locks.)"""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "lock"
        with (
            path.open("a") as file,
            locked(file, lambda: pause(self._interrupted, f"{path} is held by another launcher")),
        ):
            yield

    def comment(self, key: str) -> str:
        """The comment of a SLURM job."""
        return f"{self.token}-{key}"

    def write(self, record: JobRecord) -> None:
        """Writes the record down."""
        write_json(self.path, asdict(record), indent=2)

    def collected(self, record: JobRecord) -> None:
        """Notes that the job is over and its result was taken, unless another job was submitted
        meanwhile."""
        with suppress(Interrupted), self.lock():
            known = self._read()
            if known and known.id == record.id:
                self.write(replace(known, collected=True))

    def known(self, tasks: int, slurm: bool) -> tuple[JobRecord | None, bool]:
        """The last job of the folder, if any, and whether it still is queued or runs.

        Args:
            tasks: processes of a job that is found by its comment only.
            slurm: also look for a job that was submitted, but not written down because its launcher
                was killed.
        """
        record = self._read()
        if record and record.cluster == "local" and record.host != host():
            if not record.collected:
                raise InputError(
                    f"{self.path}: a training of this folder was started on {record.host} (process "
                    f"{record.id}); wait for it "
                    f"there, or, when it is no longer running, remove {self.path}"
                )
        elif record and record.job().alive(self._interrupted):
            return record, True
        if slurm and (found := find_slurm_job(self.token, self._interrupted)):
            key = found[1].removeprefix(f"{self.token}-")
            return JobRecord(found[0], "slurm", self.token, key, tasks, host()), True
        return record, False

    def _read(self) -> JobRecord | None:
        try:
            record = JobRecord(**read_json(self.path))
        except (
            InputError,
            TypeError,
        ):  # not there; or of another version, which cannot be asked after
            return None
        return record if record.token == self.token else None


def digest(*values: Any) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
