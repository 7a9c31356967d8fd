"""What runs inside a job, and what a job is asked to be: the part that submitit sees."""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import ConfigError, InputError, has_fix, paths_are_input
from vatrack.common.gpus import VISIBLE, Gpu, hold
from vatrack.common.locks import try_locked
from vatrack.config import LauncherConfig
from vatrack.jobs.slurm import require_slurm

# Work that needs a hundred time limits is slow, not broken.
REQUEUES = 1_000_000
# A file in the job's folder that a job on this machine has locked while it lives.
ALIVE = "alive"
# submitit's own limit of a job on this machine; there is no queue here that would want to know one.
LOCAL_MINUTES = 60 * 24 * 365
SAFE_PATH = "PYTHONSAFEPATH"
# SLURM looks at time limits every 30 seconds, and warns one look too early rather than too late.
WARNING_SECONDS = 30


@dataclass(frozen=True)
class JobResult:
    """What one process of a job leaves behind."""

    outcome: str  # "done", "bad input", or "failed" for a reason that has a fix (a full disk)
    text: str  # the summary, or the message
    # The file that tells that the work is complete, to be written again where it is missing.
    product: str | None = None
    error: InputError | OSError | None = None  # of the message; older versions leave none

    def __str__(self) -> str:
        return self.text

    def check(self) -> None:
        """Raises the error of a job that found its input bad, or the disk full."""
        if self.outcome != "done":
            raise self.error or InputError(self.text)


class JobCall:
    """A call of a function as a job that may be stopped at any time and started again.

    It starts from its beginning. What was reached before a stop is the function's own matter: it
    has to save its state and to resume from there.

    Args:
        function: importable by name in a fresh process; returns a summary.
        arguments: picklable.
        processes: how many run this call side by side, on all machines together.
        product: a file that the function writes last. Where it is newer than this object, a job
            that runs once more (queued again before its result was written) has nothing left to do.
    """

    def __init__(
        self,
        function: Callable[..., str],
        arguments: tuple[Any, ...],
        processes: int = 1,
        product: Path | None = None,
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.processes = processes
        self.product = product
        self._product_before = _age(product)
        self._gpus: list[Gpu] = []
        self._visible: str | None = None

    def use(self, gpus: list[Gpu]) -> None:
        """The job on this machine holds these GPUs and sees no others.

        submitit shows each job the first GPUs of the machine, whatever the user has chosen.
        """
        self._gpus = gpus
        self._visible = ",".join(gpu.name for gpu in gpus) if gpus else os.environ.get(VISIBLE)

    def __call__(self) -> JobResult:
        """Bad input is a result, and so is a full disk: no traceback comes before the message."""
        if "SUBMITIT_EXECUTOR" not in os.environ:
            return self._call()
        folder = self._prepare()
        with (folder / ALIVE).open("a") as file, try_locked(file), hold(self._gpus):
            return self._call()

    def _call(self) -> JobResult:
        if _age(self.product) not in (None, self._product_before):
            return JobResult("done", f"{self.product}: complete", self._read_product())
        try:
            with paths_are_input():
                text = self.function(*self.arguments)
        except (InputError, OSError) as error:
            if isinstance(error, OSError) and not has_fix(error):
                raise
            if self.processes > 1:  # they wait for this one, and are ended only if it fails
                atexit.register(_exit_failed)
            outcome = "failed" if isinstance(error, OSError) else "bad input"
            return JobResult(outcome, str(error), error=error)
        return JobResult("done", text, self._read_product())

    def _read_product(self) -> str | None:
        if self.product and self.product.is_file():
            return self.product.read_text(encoding="utf-8")
        return None

    def _prepare(self) -> Path:
        """Makes the environment of the job's process; returns the job's folder."""
        import submitit

        here = submitit.JobEnvironment()
        # What an earlier start of this job left is no result of this one, and submitit does not
        # write over a half-written file.
        here.paths.result_pickle.unlink(missing_ok=True)
        _remove_half_written(here.paths.result_pickle)
        if here.cluster != "slurm":
            # submitit ignores this signal. On SLURM that is right: what sends it kills or queues
            # the job again by itself.
            signal.signal(signal.SIGTERM, _end)
        if self._visible is not None:
            os.environ[VISIBLE] = self._visible
        if self.processes > 1:
            submitit.helpers.TorchDistributedEnvironment().export(
                set_cuda_visible_devices=False, overwrite=True
            )
            if here.num_nodes == 1:  # a node's name need not be one that the network knows
                os.environ["MASTER_ADDR"] = "127.0.0.1"
        return Path(here.paths.folder)

    def checkpoint(self) -> Any:
        """What submitit queues again when the time limit comes: the same call."""
        import submitit

        _remove_half_written(submitit.JobEnvironment().paths.submitted_pickle)
        return submitit.helpers.DelayedSubmission(self)


def _age(path: Path | None) -> int | None:
    """When a file was written, in nanoseconds; None where there is none."""
    try:
        return path.stat().st_mtime_ns if path else None
    except FileNotFoundError:
        return None


@contextmanager
def _safe_path() -> Iterator[None]:
    """Python starts in a job without the working folder among its modules.

    A file of the user's, like queue.py, would be imported in place of the standard library's.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def _exit_failed() -> None:
    """For the end of the interpreter, when submitit has written the result."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _remove_half_written(path: Path) -> None:
    path.with_suffix(f"{path.suffix}.save_tmp").unlink(missing_ok=True)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


def process_count(launcher: LauncherConfig) -> int:
    """Training processes of a job, on all its machines together."""
    return launcher.nodes * _per_node(launcher)


def _per_node(launcher: LauncherConfig) -> int:
    return launcher.processes or max(1, launcher.gpus)


def check_launcher(launcher: LauncherConfig) -> None:
    """Finds settings that contradict each other, and a cluster that is not there.

    Raises:
        InputError: with the keys and the fix.
    """
    if launcher.cluster != "slurm" and launcher.nodes > 1:
        raise ConfigError(
            "launcher.nodes",
            f"is {launcher.nodes}, but cluster {launcher.cluster} uses one machine; set it to 1",
        )
    if launcher.cluster == "debug" and process_count(launcher) > 1:
        raise ConfigError(
            "launcher.cluster", "debug uses one process; set launcher.processes to 1, or use local"
        )
    if launcher.cluster == "slurm":
        if launcher.save_seconds + WARNING_SECONDS >= 60 * launcher.minutes:
            raise ConfigError(
                "launcher.save_seconds",
                f"is {launcher.save_seconds}, so a job with launcher.minutes {launcher.minutes} "
                "would have to save its state as soon as it starts; raise launcher.minutes",
            )
        require_slurm("is slurm", "set it to local", key="launcher.cluster")


def executor_parameters(launcher: LauncherConfig, name: str, token: str = "") -> dict[str, Any]:
    """The parameters of submitit's AutoExecutor; it ignores those of other clusters.

    Args:
        token: stands in the SLURM job's comment, by which the job can be found again.
    """
    parameters: dict[str, Any] = {
        "name": name,
        "timeout_min": launcher.minutes if launcher.cluster == "slurm" else LOCAL_MINUTES,
        "mem_gb": launcher.memory_gb,
        "cpus_per_task": launcher.cpus,
        "nodes": launcher.nodes,
        "tasks_per_node": _per_node(launcher),
        "slurm_signal_delay_s": launcher.save_seconds,
        # By its comment a job is found again, and requeue resumes it: other options do not replace
        # these.
        "slurm_additional_parameters": {**launcher.extra, "requeue": True, "comment": token},
        # srun does not take the cores from sbatch (since 22.05), cuts logs off when a job runs
        # again, and would let the other processes wait for one that is gone.
        "slurm_srun_args": [
            f"--cpus-per-task={launcher.cpus}",
            "--open-mode=append",
            "--kill-on-bad-exit=1",
        ],
    }
    if launcher.setup:
        parameters["slurm_setup"] = list(launcher.setup)
    if launcher.cluster == "slurm" and launcher.gpus and launcher.gpu_type:
        parameters["slurm_gres"] = f"gpu:{launcher.gpu_type}:{launcher.gpus}"
    else:
        parameters["gpus_per_node"] = launcher.gpus
    for key in ("partition", "account", "constraint", "qos"):
        if (value := getattr(launcher, key)) is not None:
            parameters[f"slurm_{key}"] = value
    return parameters


def submit(
    call: JobCall, launcher: LauncherConfig, folder: Path, name: str, token: str
) -> tuple[str, Any]:
    """Starts a job; returns its id and, on this machine, its process.

    Raises:
        InputError: the cluster is not there, or refuses the job.
    """
    import submitit

    (folder / ALIVE).unlink(missing_ok=True)  # of the job before this one
    try:
        executor = submitit.AutoExecutor(
            folder=folder.resolve(), cluster=launcher.cluster, slurm_max_num_timeout=REQUEUES
        )
    except RuntimeError as problem:
        raise ConfigError(
            "launcher.cluster", f"{launcher.cluster} fails here ({problem}); set it to local"
        ) from None
    executor.update_parameters(**executor_parameters(launcher, name, token))
    # Ctrl-C on a terminal reaches every process of the command. This process decides what follows
    # from it: sbatch must not be torn, and a job on this machine shall save its state before it
    # ends. Children keep the mask.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        # Inside of a SLURM job, that job's variables would shape this one.
        # submitit prints a refusal, which is shown below.
        with submitit.helpers.clean_env(), _safe_path(), redirect_stderr(io.StringIO()) as printed:
            submitted = executor.submit(call)
    except submitit.core.utils.FailedJobError as problem:
        # All of it: sbatch gives the reason first, and often ends in "Unspecified error".
        reason = "\n  ".join(str(problem).strip().splitlines()) or "no reason given"
        raise ConfigError(
            "launcher", f"{launcher.cluster} refused the job; check this section:\n  {reason}"
        ) from None
    except submitit.core.utils.FailedSubmissionError as problem:
        raise InputError(f"{problem!s:.200}; check sbatch, then run this again") from None
    else:
        sys.stderr.write(printed.getvalue())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return str(submitted.job_id), getattr(submitted, "_process", None)
