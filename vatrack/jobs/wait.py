"""Waits for a job, shows its log while it runs, and takes its result."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from vatrack.common.growing_text import GrowingText
from vatrack.common.paths import look_again
from vatrack.jobs.call import PLACE, JobResult
from vatrack.jobs.local import LocalJob
from vatrack.jobs.slurm import SlurmJob

POLL_SECONDS = 0.5
# How long a result may take to arrive from another machine's side of the file system.
RESULT_SECONDS = 15
# How long the other processes of a job get to end by themselves after one has failed.
PEER_SECONDS = 20
# Lines of a job's log that are not shown: submitit's own, and the places of errors.
HIDDEN = ("submitit INFO", "submitit WARNING", "submitit ERROR", PLACE)

Job = SlurmJob | LocalJob


class JobFailed(RuntimeError):
    """The job ended without a result. The message names its log and the log's last line."""


def show(stream: TextIO, line: str) -> None:
    """Writes a line at once.

    Whoever read it may be gone; that must not keep anyone from ending well.
    """
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except OSError:
        pass


def _shown(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(HIDDEN)]


class Files:
    """The files of a job in its folder, as submitit names them."""

    def __init__(self, folder: Path, job_id: str, tasks: int) -> None:
        from submitit.core.utils import JobPaths

        self.submitted = Path(JobPaths(folder, job_id).submitted_pickle)
        self._tasks = [JobPaths(folder, job_id, task) for task in range(tasks)]

    def logs(self) -> list[GrowingText]:
        """What the first process prints; the others print the same or nothing."""
        return [GrowingText(path) for path in (self._tasks[0].stdout, self._tasks[0].stderr)]

    def results(self) -> list[tuple[str, JobResult | str] | None]:
        """What each process left.

        ("success", result), ("error", traceback), or None where it has not ended by itself, or
        what it left cannot be read.
        """
        return [self._result(Path(task.result_pickle)) for task in self._tasks]

    @staticmethod
    def _result(path: Path) -> tuple[str, JobResult | str] | None:
        try:
            with path.open("rb") as file:
                outcome, value = pickle.load(file)
        # Not there, not whole, or of another version, with classes that are elsewhere now:
        # unpickling may raise anything then.
        except Exception:
            return None
        return outcome, value

    def last_words(self) -> tuple[str, Path]:
        """The last line of the errors of the process that failed first, and its log."""
        results = self.results()
        failed = [
            task
            for task, result in zip(self._tasks, results, strict=True)
            if result and result[0] == "error"
        ]
        path = Path((failed or self._tasks)[0].stderr)
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        lines = [line for line in _shown(lines) if line.strip()]
        return (lines[-1] if lines else "it left no error message"), path


def failed(result: tuple[str, JobResult | str] | None) -> bool:
    """Whether a process ended with anything but its work done."""
    return result is not None and not (
        isinstance(result[1], JobResult) and result[1].outcome == "done"
    )


def _bad_input(result: tuple[str, JobResult | str] | None) -> bool:
    return result is not None and isinstance(result[1], JobResult) and failed(result)


def follow_job(job: Job, files: Files, stream: TextIO, interrupted: Callable[[], bool]) -> bool:
    """Copies a job's log to `stream` until the job has ended or `interrupted`.

    Returns whether it has ended.
    """
    logs = files.logs()
    news, failed_since, told = "", None, False
    while not interrupted():
        results = files.results()
        # What one of several processes left when it failed may be of a start before this one.
        complete = None not in results and (len(results) == 1 or not any(map(failed, results)))
        ended = complete or job.over()
        for log in logs:
            if lines := _shown(log.lines(last=ended)):
                show(stream, "\n".join(lines))
        if job.news != news:
            news = job.news
            show(stream, f"job {job.id}: {news}")
        if ended:
            return True
        # The others may wait for ever for the one that failed. (srun sees that itself where its
        # process broke off.)
        if any(map(failed if isinstance(job, LocalJob) else _bad_input, results)) and not told:
            failed_since = failed_since or time.monotonic()
            if time.monotonic() - failed_since > PEER_SECONDS:
                # Once; where SLURM refuses, again after as long.
                told, failed_since = job.end(seconds=5), None
        time.sleep(POLL_SECONDS)
    return False


def result(job: Job, files: Files) -> JobResult:
    """The result of a job that has ended: that of its first process, unless another one failed.

    Raises:
        InputError: the job found its input bad.
        OSError: the system kept it from its work for a reason that has a fix, such as a full disk.
        JobFailed: anything else that kept the job from returning.
    """
    deadline = time.monotonic() + (RESULT_SECONDS if isinstance(job, SlurmJob) else 0)
    while (
        None in (results := files.results())
        and not any(map(failed, results))
        and time.monotonic() < deadline
    ):
        look_again(files.submitted.parent)
        time.sleep(POLL_SECONDS)
    for _, value in filter(None, results):
        if isinstance(value, JobResult):
            value.check()
    first = results[0]
    if first and isinstance(first[1], JobResult) and not any(map(failed, results)):
        return first[1]
    last, path = files.last_words()
    if any(map(failed, results)):
        raise JobFailed(f"job {job.id} failed: {last} (log: {path})")
    raise JobFailed(f"job {job.id} ended without a result ({job.ending}): {last} (log: {path})")
