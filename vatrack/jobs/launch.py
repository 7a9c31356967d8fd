"""Calls a function in a job of its own (submitit), waits for it and shows its log.

The job runs on this machine or on SLURM, as `launcher.cluster` says; whoever waits here sees the
same lines. Waiting may end at any time: started again, it finds the job and waits for it, and
never starts a second one beside it.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TextIO

from vatrack.common.errors import InputError
from vatrack.common.files import write_text
from vatrack.common.gpus import claimed
from vatrack.config import LauncherConfig
from vatrack.jobs.call import JobCall, JobResult
from vatrack.jobs.interrupt import Interrupted, Signals, keeps_job, noted_signals
from vatrack.jobs.job_file import JobFile, SubmittedJob
from vatrack.jobs.local import LocalJob, parents, start_time
from vatrack.jobs.slurm import SlurmJob
from vatrack.jobs.submit import check_launcher, process_count, submit
from vatrack.jobs.wait import Files, JobFailed, failed, follow_job, result, show

__all__ = ["JobFailed", "run_in_job"]

# How long a job that left its result may still take to end by itself.
FAILED_SECONDS = 5.0


def run_in_job(
    function: Callable[..., str],
    arguments: tuple[Any, ...],
    launcher: LauncherConfig,
    folder: Path,
    *,
    name: str = "vatrack",
    stream: TextIO | None = None,
    key: str = "",
    product: Path | None = None,
) -> JobResult:
    """Calls a function in a job, and copies its output to `stream` (standard output) meanwhile.

    A job of this folder that was submitted before and still is queued or runs is waited for instead
    of starting another one; the result of one that has ended well meanwhile is taken. A signal
    (SIGINT, SIGTERM, SIGHUP) ends the waiting: a job on this machine is told to save its state and
    to end, a SLURM job is cancelled or kept, as `launcher.on_interrupt` says.

    Args:
        function: importable by name in a fresh process; returns a summary.
        arguments: picklable.
        folder: for the job's logs, pickles and job.json.
        key: hash of what the function is asked to do; a job with another one is not waited for.
        product: the file that the function writes last; it is written again where it was removed
            since.

    Returns:
        What the job left; as a text it is the function's summary.

    Raises:
        InputError: raised by the function, with its message; or a job with another key is not over.
        OSError: raised by the function, as of a full disk.
        JobFailed: anything else that kept the job from returning.
        SystemExit: after a signal.
    """
    check_launcher(launcher)
    shown = stream or sys.stdout
    call = JobCall(function, arguments, process_count(launcher), product)
    if launcher.cluster == "debug":
        return _checked(call(), None)
    waiters = parents()
    with noted_signals() as signals, ExitStack() as holds:
        job_file = JobFile(folder, signals.came)
        try:
            with job_file.lock():
                known, job = _find_or_submit(call, job_file, launcher, name, key, shown, holds)
        except Interrupted as waiting:
            show(shown, f"{waiting}; nothing was submitted")
            sys.exit(128 + int(signals.number or signal.SIGINT))
        files = Files(folder.resolve(), known.id, known.tasks)
        if job is None:
            show(
                shown,
                f"job {known.id} ({known.cluster}) has completed; using its result",
            )
        elif not follow_job(job, files, shown, signals.came):
            if _interrupted(job, launcher, signals, shown):
                JobFile(folder).collected(known)
            sys.exit(128 + int(signals.number or signal.SIGINT))
    try:
        first = result(job or known.job(), files)
    except (InputError, JobFailed, OSError):
        if isinstance(job, LocalJob):
            _see_off(job)
        # Whoever comes next may start another one, on another machine, too.
        job_file.collected(known)
        raise
    # When those who wait for this process are gone, the next one shall find the result.
    if all(start_time(pid) == started for pid, started in waiters):
        job_file.collected(known)
    return _checked(first, product)


def _find_or_submit(
    call: JobCall,
    job_file: JobFile,
    launcher: LauncherConfig,
    name: str,
    key: str,
    shown: TextIO,
    holds: ExitStack,
) -> tuple[SubmittedJob, SlurmJob | LocalJob | None]:
    """The job to wait for; None where it has ended well and nobody has taken its result."""
    known, alive = job_file.known(call.processes, slurm=launcher.cluster == "slurm")
    if known and alive and _has_failed(known, job_file):
        # What it said was said before, or is of before its input was corrected.
        show(
            shown, f"job {known.id} ({known.cluster}) has failed but is still running; stopping it"
        )
        alive = not known.job().end(FAILED_SECONDS)
    if known and alive and _handed_over(known, job_file):
        job = known.job()
        if known.key != key:
            raise InputError(
                f"{job_file.folder.parent}: job {known.id} ({known.cluster}) is still running here "
                f"with other settings or data; wait for it, or cancel it: {_end_command(known)}"
            )
        show(
            shown,
            f"job {known.id} ({known.cluster}) is still running: waiting for it; logs in "
            f"{job_file.folder}",
        )
        return known, job
    if known and not alive and not known.collected and known.key == key:
        results = Files(job_file.folder.resolve(), known.id, known.tasks).results()
        if None not in results and not any(map(failed, results)):
            return known, None
    if launcher.cluster == "local" and launcher.gpus:
        # Held here until the job, which holds them too, is over or this process no longer waits.
        call.use(holds.enter_context(claimed(launcher.gpus)))
    job_id, process = submit(call, launcher, job_file.folder, name, job_file.comment(key))
    started = start_time(int(job_id)) if launcher.cluster == "local" else None
    known = SubmittedJob(
        job_id, launcher.cluster, job_file.token, key, call.processes, socket.gethostname(), started
    )
    job_file.write(known)
    show(shown, f"job {job_id} ({launcher.cluster}); logs in {job_file.folder}")
    return known, LocalJob(job_id, started, process) if launcher.cluster == "local" else SlurmJob(
        job_id
    )


def _see_off(job: LocalJob) -> None:
    """Lets a job that left its result end by itself, or ends it."""
    deadline = time.monotonic() + FAILED_SECONDS
    while job.alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    if job.alive():
        job.end(FAILED_SECONDS)


def _has_failed(known: SubmittedJob, job_file: JobFile) -> bool:
    """Whether all processes of a job left their result, and it was taken or is of no use."""
    results = Files(job_file.folder.resolve(), known.id, known.tasks).results()
    return None not in results and (known.collected or any(map(failed, results)))


def _handed_over(known: SubmittedJob, job_file: JobFile) -> bool:
    """Whether the job knows what to do.

    Where its launcher was killed right after submitting it, it never will: it is cancelled.
    """
    if (
        known.cluster != "slurm"
        or Files(job_file.folder.resolve(), known.id, known.tasks).submitted.exists()
    ):
        return True
    job = SlurmJob(known.id)
    job.end()
    return job.alive()


def _end_command(known: SubmittedJob) -> str:
    return f"scancel {known.id}" if known.cluster == "slurm" else f"kill {known.id}"


def _interrupted(
    job: SlurmJob | LocalJob, launcher: LauncherConfig, signals: Signals, shown: TextIO
) -> bool:
    """Ends the job or not; returns whether it is over."""
    over = False
    again = "run the same command again to"
    question = f"Job {job.id} is still running. Cancel it and all other jobs of this command?"
    if isinstance(job, SlurmJob) and keeps_job(signals, launcher.on_interrupt, question):
        show(shown, f"job {job.id} keeps running; {again} wait for it")
    elif job.end(seconds=launcher.save_seconds):
        over = isinstance(job, LocalJob)  # SLURM's still has to end
        show(shown, f"job {job.id} cancelled; {again} resume from its last saved state")
    else:
        show(shown, f"job {job.id} could not be cancelled; try: scancel {job.id}")
    with suppress(OSError, ValueError):
        shown.flush()
    return over


def _checked(found: JobResult, product: Path | None) -> JobResult:
    found.check()
    if product and found.product is not None and not product.exists():
        write_text(product, found.product)
    return found
