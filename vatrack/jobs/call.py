"""What runs inside a job: the call of a function, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.errors import FolderLost, InputError, has_fix, paths_are_input
from vatrack.common.gpus import VISIBLE, Gpu, hold
from vatrack.common.locks import try_locked
from vatrack.common.signals import fail_at_exit

# A file in the job's folder that a job on this machine has locked while it lives.
ALIVE = "alive"
# How the lines of a traceback begin that only the job's log shows.
PLACE = "traceback | "


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
        """Bad input is a result, and so is a full disk: no traceback comes before the message.

        What the system refused (a file that is gone, a full disk) may still be a mistake of the
        program: where that was stays in the job's log.
        """
        if "SUBMITIT_EXECUTOR" not in os.environ:
            return self._call()
        folder = self._prepare()
        with (folder / ALIVE).open("a") as file, try_locked(file), hold(self._gpus):
            return self._call()

    def _call(self) -> JobResult:
        if _age(self.product) not in (None, self._product_before):
            return JobResult("done", f"{self.product}: complete", self._read_product())
        try:
            with paths_are_input(), self._ending_others():
                text = self.function(*self.arguments)
        except FolderLost as error:
            # As where SLURM took this machine for dead: the job's next start leaves the result.
            sys.exit(f"vatrack: error: {error}")
        except (InputError, OSError) as error:
            if isinstance(error, OSError) and not has_fix(error):
                raise
            _note_place(error)
            outcome = "failed" if isinstance(error, OSError) else "bad input"
            return JobResult(outcome, str(error), error=error)
        return JobResult("done", text, self._read_product())

    @contextmanager
    def _ending_others(self) -> Iterator[None]:
        """Where one of several processes fails, it does so when its result is written."""
        try:
            yield
        except Exception:
            if self.processes > 1:
                fail_at_exit()
            raise

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


def _note_place(error: Exception) -> None:
    """Writes the traceback of an error of the system to the job's log, whatever it became."""
    origin = error if isinstance(error, OSError) else error.__cause__
    if isinstance(origin, OSError) and "SUBMITIT_EXECUTOR" in os.environ:
        lines = "".join(traceback.format_exception(origin))
        print(textwrap.indent(lines, PLACE), end="", file=sys.stderr, flush=True)


def _remove_half_written(path: Path) -> None:
    path.with_suffix(f"{path.suffix}.save_tmp").unlink(missing_ok=True)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)
