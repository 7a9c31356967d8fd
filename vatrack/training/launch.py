"""Starts a training as a job of its own (submitit), waits for it and shows its log.

The job runs on this machine or on SLURM, as `launcher.cluster` says; whoever waits here sees the same lines.
"""

from __future__ import annotations

import codecs
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from vatrack.config import LauncherConfig, RunConfig
from vatrack.errors import InputError
from vatrack.training.experiment_log import follow

POLL_SECONDS = 0.5
CANCEL_SECONDS = 30
OWN_LINES = ("submitit INFO", "submitit ERROR")  # submitit's own lines in a job's log


class JobFailed(RuntimeError):
    """The job ended without a result. The message holds the last line of its log and the log's place."""


class _Stopped(BaseException):
    """A signal asked this process to end."""


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
        InputError: the training found its input bad, or the launcher's settings contradict the training's.
        JobFailed: the job failed, was cancelled or was lost.
    """
    if run.training.device == "cuda" and run.launcher.gpus == 0:
        raise InputError("config: training.device is cuda but launcher.gpus is 0; ask for a GPU or set training.device to auto")
    with follow(run, out):
        return run_in_job(_train, (run, annotations, images, out), run.launcher, out / "submitit", name=run.name)


def _train(run: RunConfig, annotations: Path, images: Path, out: Path) -> str:
    import torch

    from vatrack.training.loop import train

    # What waits for this job may itself run with one core and hand its OMP_NUM_THREADS on.
    torch.set_num_threads(run.launcher.cpus)
    return train(run, annotations, images, out)


def run_in_job(
    function: Callable[..., str],
    arguments: tuple[Any, ...],
    launcher: LauncherConfig,
    folder: Path,
    name: str = "vatrack",
    stream: TextIO | None = None,
) -> str:
    """Calls a function in a job and copies the job's output to `stream` (standard output) while it runs.

    The job is cancelled when this process gets SIGINT, SIGTERM or SIGHUP.

    Args:
        function: importable by name in a fresh process; returns a summary.
        arguments: picklable.
        folder: for the job's logs and pickles.

    Raises:
        InputError: raised by the function, with its message.
        JobFailed: anything else that kept the job from returning.
    """
    import submitit

    try:
        executor = submitit.AutoExecutor(folder=folder.resolve(), cluster=launcher.cluster)
    except RuntimeError as problem:
        raise InputError(f"config: launcher.cluster is {launcher.cluster}, but it cannot be used here: {problem}") from None
    executor.update_parameters(**executor_parameters(launcher, name))
    shown = stream or sys.stdout
    with _stop_signals():
        try:
            job = executor.submit(_call, function, arguments)
        except submitit.core.utils.FailedJobError as problem:
            reason = str(problem).strip().splitlines()[-1]
            raise InputError(f"config: {launcher.cluster} refused the job; check the launcher section: {reason}") from None
        print(f"job {job.job_id} ({launcher.cluster}); logs in {folder}", file=shown, flush=True)
        try:
            _wait(job, shown)
        except _Stopped as stop:
            _cancel(job)
            print(f"job {job.job_id} cancelled", file=shown, flush=True)
            sys.exit(128 + int(stop.args[0]))
    error = job.exception()
    if error is not None:
        raise JobFailed(_failure(job, error))
    outcome, text = job.result()
    if outcome == "bad input":
        raise InputError(text)
    return str(text)


def executor_parameters(launcher: LauncherConfig, name: str) -> dict[str, Any]:
    """The parameters of submitit's AutoExecutor; those of another cluster than the chosen one are ignored by it."""
    parameters: dict[str, Any] = {
        "name": name,
        "timeout_min": launcher.minutes,
        "mem_gb": launcher.memory_gb,
        "cpus_per_task": launcher.cpus,
        "nodes": 1,
        "tasks_per_node": 1,
    }
    if launcher.cluster == "slurm" and launcher.gpus and launcher.gpu_type:
        parameters["slurm_gres"] = f"gpu:{launcher.gpu_type}:{launcher.gpus}"
    else:
        parameters["gpus_per_node"] = launcher.gpus
    for key in ("partition", "account", "constraint"):
        value = getattr(launcher, key)
        if value is not None:
            parameters[f"slurm_{key}"] = value
    return parameters


def _call(function: Callable[..., str], arguments: tuple[Any, ...]) -> tuple[str, str]:
    """Runs inside the job. Bad input is a result, not a failure: its message must arrive without a traceback."""
    try:
        return "done", function(*arguments)
    except InputError as error:
        return "bad input", str(error)


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Turns the signals that end a process into `_Stopped`, so that the job can be cancelled first."""

    def stop(number: int, frame: Any) -> None:
        raise _Stopped(number)

    # Signals can only be handled in the main thread; elsewhere their owner has to take care.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(job: Any, stream: TextIO) -> None:
    """Returns when the job has ended and its whole output was shown."""
    logs = [_Log(Path(job.paths.stdout)), _Log(Path(job.paths.stderr))]
    while True:
        ended = job.done()
        for log in logs:
            log.copy(stream, last=ended)
        if ended:
            return
        time.sleep(POLL_SECONDS)


def _cancel(job: Any) -> None:
    job.cancel(check=False)
    deadline = time.monotonic() + CANCEL_SECONDS
    while not job.done(force_check=True) and time.monotonic() < deadline:
        time.sleep(0.1)


class _Log:
    """A growing text file that is copied line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = 0
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def copy(self, stream: TextIO, last: bool) -> None:
        """Writes the lines that came since the last call, submitit's own left out; `last`: also one without an end."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._place)
                new = file.read()
        except FileNotFoundError:
            return
        self._place += len(new)
        *lines, self._rest = (self._rest + self._decoder.decode(new, final=last)).split("\n")
        if last and self._rest:
            lines.append(self._rest)
        for line in lines:
            if not line.startswith(OWN_LINES):
                stream.write(f"{line}\n")
        if lines:
            stream.flush()


def _failure(job: Any, error: BaseException) -> str:
    """The last line of the job's errors (all were shown as they came), or what submitit knows where there is none."""
    path = Path(job.paths.stderr)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    lines = [line for line in lines if line.strip() and not line.startswith(OWN_LINES)]
    last = lines[-1] if lines else " ".join(str(error).splitlines()[:2])
    return f"the training job {job.job_id} failed: {last} (log: {path})"
