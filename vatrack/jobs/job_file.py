"""job.json of a job's folder: whoever comes to wait for the job later finds it there."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.locks import held, locked
from vatrack.common.paths import real
from vatrack.common.user import user_name
from vatrack.common.value_files import read_json
from vatrack.jobs.call import ALIVE
from vatrack.jobs.interrupt import Interrupted, never, pause
from vatrack.jobs.local import LocalJob
from vatrack.jobs.slurm import SlurmJob, find_slurm_job


@dataclass(frozen=True)
class SubmittedJob:
    """The content of job.json: a job that was submitted.

    Attributes:
        token: names the folder and the user; a copy of the folder elsewhere has no job.
        key: what the job was asked to do.
        tasks: how many processes it has.
        started: of a local job, see `local.LocalJob`.
        collected: whether its result was taken.
    """

    id: str
    cluster: str
    token: str
    key: str
    tasks: int
    host: str
    started: int | None = None
    collected: bool = False

    def job(self) -> SlurmJob | LocalJob:
        """The job, to be asked after."""
        if self.cluster == "slurm":
            return SlurmJob(self.id)
        return LocalJob(self.id, self.started)


class JobFile:
    """job.json of one job folder (`<run>/submitit`).

    Args:
        interrupted: whether a signal came; all waiting here ends then with `Interrupted`.
    """

    def __init__(self, folder: Path, interrupted: Callable[[], bool] = never) -> None:
        self.folder, self._interrupted = folder, interrupted
        self.path = folder / "job.json"
        self.token = f"vatrack-{digest(str(real(folder)), user_name())}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time looks for a job and submits one.

        Not on file systems without locks.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "lock"
        with (
            path.open("a") as file,
            locked(file, lambda: pause(self._interrupted, f"{path} is used by another launcher")),
        ):
            yield

    def comment(self, key: str) -> str:
        """The comment of a SLURM job."""
        return f"{self.token}-{key}"

    def write(self, job: SubmittedJob) -> None:
        """Writes job.json."""
        write_json(self.path, asdict(job), indent=2)

    def collected(self, job: SubmittedJob) -> None:
        """Notes that the job is over and its result was taken.

        Does nothing where another job was submitted meanwhile.
        """
        with suppress(Interrupted), self.lock():
            known = self._read()
            if known and known.id == job.id:
                self.write(replace(known, collected=True))

    def known(self, tasks: int, slurm: bool) -> tuple[SubmittedJob | None, bool]:
        """The last job of the folder, if any, and whether it still is queued or runs.

        Args:
            tasks: processes of a job that is found by its comment only.
            slurm: also look for a job that was submitted, but not written down because its launcher
                was killed.

        Raises:
            InputError: a job may still run on another machine.
        """
        known = self._read()
        if known and known.cluster == "local" and known.host != socket.gethostname():
            self._check_elsewhere(known)
        elif known and known.job().alive(self._interrupted):
            return known, True
        if slurm and (found := find_slurm_job(self.token, self._interrupted)):
            job_id, key = found[0], found[1].removeprefix(f"{self.token}-")
            return SubmittedJob(job_id, "slurm", self.token, key, tasks, socket.gethostname()), True
        return known, False

    def _check_elsewhere(self, known: SubmittedJob) -> None:
        """Looks whether the job holds its lock, as it does while it lives.

        The host's name does not tell: a container that is started again has another one.
        """
        lock = self.folder / ALIVE
        running = held(lock) if lock.exists() else None  # it may still be starting
        if known.collected or running is False:
            return
        fix = (
            "wait for it there"
            if running
            else f"wait for it there, or remove {self.path} if it is no longer running"
        )
        raise InputError(
            f"{self.path}: a job of this folder was started on {known.host} (process {known.id}); "
            f"{fix}"
        )

    def _read(self) -> SubmittedJob | None:
        try:
            known = SubmittedJob(**read_json(self.path))
        except (InputError, TypeError):
            # Not there; or of another version, which cannot be asked after.
            return None
        return known if known.token == self.token else None


def digest(*values: Any) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
