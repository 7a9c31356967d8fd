"""Jobs of SLURM: asked after, found again, ended."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable

from vatrack.common.errors import ConfigError, InputError
from vatrack.common.user import user_name
from vatrack.jobs.interrupt import never, pause

# States after which SLURM does nothing more with a job. A job that is queued again (dead node,
# pre-emption) is PENDING.
FINAL = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
GONE = "no longer known"
ENDING = "COMPLETING"
# Seconds between two questions to SLURM, which serves many.
SHORTEST_CHECK, LONGEST_CHECK = 2.0, 30.0
ASK_SECONDS = 60
SILENT = 3  # questions without an answer, after which that is said


def require_slurm(wanted: str, instead: str, *, key: str = "") -> None:
    """Checks that jobs can be submitted here.

    Args:
        wanted: what asks for SLURM.
        instead: how to do without it.
        key: of the config, where it is a setting that asks.

    Raises:
        InputError: with both, and the command of SLURM that is missing.
    """
    missing = [command for command in ("sbatch", "srun") if shutil.which(command) is None]
    if missing:
        problem = (
            f"{wanted}, but SLURM is not available: no {' and no '.join(missing)} in PATH; run "
            f"this on a login node of the cluster, or {instead}"
        )
        raise ConfigError(key, problem) if key else InputError(problem)


class SlurmJob:
    """A job of SLURM, by its id."""

    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.news = ""  # what it does, in words
        self._unanswered = 0  # questions in turn
        self._start = time.monotonic()
        self._next = 0.0
        self._final = ""

    def ask(self) -> str | None:
        """The job's state; `GONE` where SLURM has forgotten it, None where it does not answer."""
        state = self._ask()
        self._unanswered = self._unanswered + 1 if state is None else 0
        if self._unanswered >= SILENT:
            self.news = "SLURM gives no usable answer to squeue; waiting"
        return state

    def _ask(self) -> str | None:
        try:
            asked = _slurm(
                "squeue", "--noheader", f"--jobs={self.id}", "--states=all", "--format=%T|%r|%N"
            )
        except FileNotFoundError:  # a results folder that was taken to a machine without SLURM
            return GONE
        except subprocess.TimeoutExpired:
            return None
        if asked.returncode:
            return GONE if "Invalid job id" in asked.stderr else None
        if not asked.stdout.strip():
            return GONE
        # Some clusters have commands of their own in its place, which print other lines, too.
        lines = (line.strip().split("|", 2) for line in asked.stdout.splitlines())
        fields = next((parts for parts in lines if len(parts) == 3), None)
        if fields is None:
            return None
        state, reason, nodes = fields
        why = f" ({reason})" if state == "PENDING" and reason != "None" else ""
        self.news = f"{state.lower()}{f' on {nodes}' if nodes else ''}{why}"
        return state

    def alive(self, interrupted: Callable[[], bool] = never) -> bool:
        """Whether the job is queued or runs.

        Waits while it is being ended, until it is over, or queued again.

        Raises:
            Interrupted: the waiting was.
        """
        while (state := self.ask()) == ENDING or state is None:
            pause(
                interrupted,
                f"SLURM returns no state for job {self.id}"
                if state is None
                else f"job {self.id} is ending",
            )
        return state != GONE and state not in FINAL

    def over(self) -> bool:
        """Whether the job is known to have ended; asks SLURM now and then.

        A final state counts when it is seen twice.
        """
        now = time.monotonic()
        if now < self._next:
            return False
        state = self.ask()
        age = time.monotonic() - self._start
        self._next = time.monotonic() + min(LONGEST_CHECK, max(SHORTEST_CHECK, age / 5))
        if state is None or (state != GONE and state not in FINAL):
            self._final = ""
            return False
        if self._final:
            return True
        self._final = state
        self._next = time.monotonic() + SHORTEST_CHECK / 2
        return False

    def end(self, seconds: float = 0) -> bool:
        """Cancels the job; False where SLURM did not do so.

        How long it may take to save its state is SLURM's KillWait.
        """
        try:
            return _slurm("scancel", self.id).returncode == 0
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return False

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return f"SLURM state {self._final}"


def find_slurm_job(token: str, interrupted: Callable[[], bool] = never) -> tuple[str, str] | None:
    """The id and the comment of a job of this user whose comment starts with `token`.

    Only jobs that are queued or run. Waits for SLURM's answer: without one, a job that is there
    would be submitted once more.

    Raises:
        Interrupted: the waiting was.
    """
    while (shown := _own_jobs()) is None:
        pause(interrupted, "SLURM does not respond to squeue")
    for line in shown.splitlines():
        job_id, _, comment = line.strip().partition("|")
        if comment.startswith(token):
            return job_id, comment
    return None


def _own_jobs() -> str | None:
    """Ids and comments of this user's jobs, a line each; None where SLURM does not answer."""
    try:
        asked = _slurm("squeue", "--noheader", f"--user={user_name()}", "--format=%i|%k")
    except FileNotFoundError:  # no SLURM here, so no job
        return ""
    except subprocess.TimeoutExpired:
        return None
    return None if asked.returncode else asked.stdout


def _slurm(*command: str) -> subprocess.CompletedProcess[str]:
    # In a group of its own, so that Ctrl-C on the terminal does not tear it.
    return subprocess.run(
        command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False, process_group=0
    )
