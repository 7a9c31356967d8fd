"""What a job is asked to be, and its start."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from vatrack.common.device import is_numbered
from vatrack.common.errors import ConfigError, InputError
from vatrack.config import LauncherConfig

# Jobs that an older version has submitted name both classes as they were, in this module.
from vatrack.jobs.call import ALIVE, JobCall, JobResult  # noqa: F401
from vatrack.jobs.slurm import require_slurm

# Work that needs a hundred time limits is slow, not broken.
REQUEUES = 1_000_000
# submitit's own limit of a job on this machine; there is no queue here that would want to know one.
LOCAL_MINUTES = 60 * 24 * 365
SAFE_PATH = "PYTHONSAFEPATH"
# SLURM looks at time limits every 30 seconds, and warns one look too early rather than too late.
WARNING_SECONDS = 30


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


def check_device_of_jobs(device: str, launcher: LauncherConfig) -> None:
    """Finds a device that the jobs of a launcher cannot have.

    Args:
        device: `compute.device` of the config.

    Raises:
        InputError: with the key and the fix.
    """
    if is_numbered(device):
        raise ConfigError(
            "compute.device",
            f"is {device}, but the launcher chooses the GPUs of its jobs; set it to cuda",
        )
    if device == "cuda" and launcher.gpus == 0:
        raise ConfigError(
            "compute.device", "is cuda but launcher.gpus is 0; ask for a GPU or set it to auto"
        )


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
