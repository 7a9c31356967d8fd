"""Starts a training as a job of its own (submitit), waits for it and shows its log.

The job runs on this machine or on SLURM, as `launcher.cluster` says; whoever waits here sees the
same lines. Waiting may end at any time: started again, it finds the job and goes on with it, and
never starts a second one beside it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from vatrack.common.errors import InputError, show_warnings_plainly
from vatrack.common.files import write_text
from vatrack.config import START_FILES, LauncherConfig, RunConfig
from vatrack.experiments import log as experiment_log
from vatrack.jobs.clusters import Interrupted, LocalJob, SlurmJob, host, parents, start_time
from vatrack.jobs.interrupt import Signals, keeps_job, noted_signals
from vatrack.jobs.records import JobRecord, Records, digest
from vatrack.jobs.submit import JobResult, TrainingJob, check_launcher, process_count, submit
from vatrack.jobs.wait import Files, JobFailed, failed, follow, result, show

__all__ = ["JobFailed", "launch", "run_in_job"]


def launch(run: RunConfig, annotations: Path, images: Path, out: Path) -> str:
    """Trains in a job, with `vatrack.training.loop.train`.

    Args:
        run: the resolved config; its `launcher` section says where the job runs and with how much.
        annotations: folder with train/ and valid/.
        images: the clip tree.
        out: the run's folder; the job's own files go to `submitit/` in it.

    Returns:
        The summary of the training.

    Raises:
        InputError: the training found its input bad, the launcher's settings contradict the
            training's, or a job with other settings still trains into this folder.
        JobFailed: the job failed, was cancelled or was lost.
    """
    if run.compute.device == "cuda" and run.launcher.gpus == 0:
        raise InputError(
            "config: compute.device is cuda but launcher.gpus is 0; ask for a GPU or set "
            "compute.device to auto"
        )
    for name in START_FILES:  # before a job is queued for them
        path = getattr(run.training, name)
        if path and not Path(path).is_file():
            raise InputError(f"config: training.{name}: {path}: no such file")
    with experiment_log.follow(run, out):
        return run_in_job(
            _train,
            (run, annotations, images, out),
            run.launcher,
            out / "submitit",
            name=run.name,
            key=_key(run, annotations, images),
            product=out / "training.json",
        )


def _train(run: RunConfig, annotations: Path, images: Path, out: Path) -> str:
    import torch

    from vatrack.training.loop import train

    # What waits for this job may itself run with one core and hand its OMP_NUM_THREADS on.
    torch.set_num_threads(run.launcher.cpus)
    show_warnings_plainly()
    return train(run, annotations, images, out)


def _key(run: RunConfig, annotations: Path, images: Path) -> str:
    """What tells trainings apart that must not be taken for each other: the recipe, and the files
    that they train on."""
    # Not the stores beside them, which a job may write anew.
    files = sorted(annotations.glob("*/[!.]*.json"))
    stats = [
        (str(path.relative_to(annotations)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in files
    ]
    return digest(run.recipe(), str(annotations.resolve()), stats, str(images.resolve()))


def run_in_job(
    function: Callable[..., str],
    arguments: tuple[Any, ...],
    launcher: LauncherConfig,
    folder: Path,
    name: str = "vatrack",
    stream: TextIO | None = None,
    key: str = "",
    product: Path | None = None,
) -> str:
    """Calls a function in a job and copies the job's output to `stream` (standard output) while it
    runs.

    A job of this folder that was submitted before and still is queued or runs is waited for instead
    of starting another one; the result of one that has ended well meanwhile is taken. A signal
    (SIGINT, SIGTERM, SIGHUP) ends the waiting: a job on this machine is told to save its state and
    to end, a SLURM job is cancelled or goes on, as `launcher.on_interrupt` says.

    Args:
        function: importable by name in a fresh process; returns a summary.
        arguments: picklable.
        folder: for the job's logs, pickles and record.
        key: hash of what the function is asked to do; a job with another one is not waited for.
        product: the file that the function writes last; it is written again where it was removed
            since.

    Raises:
        InputError: raised by the function, with its message; or a job with another key is not over.
        JobFailed: anything else that kept the job from returning.
        SystemExit: after a signal.
    """
    check_launcher(launcher)
    shown = stream or sys.stdout
    call = TrainingJob(function, arguments, process_count(launcher), product)
    if launcher.cluster == "debug":
        return _text(call(), None)
    waiters = parents()
    with noted_signals() as signals:
        records = Records(folder, signals.came)
        try:
            with records.lock():
                record, job = _find_or_submit(call, records, launcher, name, key, shown)
        except Interrupted as waiting:
            show(shown, f"{waiting}; nothing was submitted")
            sys.exit(128 + int(signals.number or signal.SIGINT))
        files = Files(folder.resolve(), record.id, record.tasks)
        if job is None:
            show(
                shown,
                f"job {record.id} ({record.cluster}) ended well meanwhile; its result is taken",
            )
        elif not follow(job, files, shown, signals.came):
            if _interrupted(job, launcher, signals, shown):
                Records(folder).collected(record)
            sys.exit(128 + int(signals.number or signal.SIGINT))
    try:
        first = result(job or record.job(), files)
    except (InputError, JobFailed):
        records.collected(
            record
        )  # whoever comes next may start another one, on another machine, too
        raise
    # When those who wait for this process are gone, the next one shall find the result.
    if all(start_time(pid) == started for pid, started in waiters):
        records.collected(record)
    return _text(first, product)


def _find_or_submit(
    call: TrainingJob,
    records: Records,
    launcher: LauncherConfig,
    name: str,
    key: str,
    shown: TextIO,
) -> tuple[JobRecord, SlurmJob | LocalJob | None]:
    """The job to wait for; None in its place when it has ended well and nobody has taken its
    result."""
    record, alive = records.known(call.processes, slurm=launcher.cluster == "slurm")
    if record and alive and _handed_over(record, records):
        job = record.job()
        if record.key != key:
            raise InputError(
                f"{records.folder.parent}: job {record.id} ({record.cluster}) still trains here "
                f"with other settings or other "
                f"data; wait for it, or end it: {_end_command(record)}"
            )
        show(
            shown,
            f"job {record.id} ({record.cluster}) is not over: waiting for it; logs in "
            f"{records.folder}",
        )
        return record, job
    if record and not alive and not record.collected and record.key == key:
        results = Files(records.folder.resolve(), record.id, record.tasks).results()
        if None not in results and not any(map(failed, results)):
            return record, None
    job_id, process = submit(call, launcher, records.folder, name, records.comment(key))
    started = start_time(int(job_id)) if launcher.cluster == "local" else None
    record = JobRecord(
        job_id, launcher.cluster, records.token, key, call.processes, host(), started
    )
    records.write(record)
    show(shown, f"job {job_id} ({launcher.cluster}); logs in {records.folder}")
    return record, LocalJob(job_id, started, process) if launcher.cluster == "local" else SlurmJob(
        job_id
    )


def _handed_over(record: JobRecord, records: Records) -> bool:
    """Whether the job knows what to do. If its launcher was killed right after submitting it, it
    never will: cancelled."""
    if (
        record.cluster != "slurm"
        or Files(records.folder.resolve(), record.id, record.tasks).submitted.exists()
    ):
        return True
    job = SlurmJob(record.id)
    job.end()
    return job.alive()


def _end_command(record: JobRecord) -> str:
    return f"scancel {record.id}" if record.cluster == "slurm" else f"kill {record.id}"


def _interrupted(
    job: SlurmJob | LocalJob, launcher: LauncherConfig, signals: Signals, shown: TextIO
) -> bool:
    """Ends the job or not; whether it is over."""
    over = False
    again = "run the same command again to"
    question = f"Training goes on in job {job.id}. Cancel it, and other trainings of this command?"
    if isinstance(job, SlurmJob) and keeps_job(signals, launcher.on_interrupt, question):
        show(shown, f"job {job.id} goes on; {again} wait for it")
    elif job.end(seconds=launcher.save_seconds):
        over = isinstance(job, LocalJob)  # SLURM's still has to end
        show(shown, f"job {job.id} cancelled; {again} go on from its last saved state")
    else:
        show(shown, f"job {job.id} could not be cancelled; try: scancel {job.id}")
    with suppress(OSError, ValueError):
        shown.flush()
    return over


def _text(found: JobResult, product: Path | None) -> str:
    if found.outcome == "bad input":
        raise InputError(found.text)
    if product and found.product is not None and not product.exists():
        write_text(product, found.product)
    return found.text
