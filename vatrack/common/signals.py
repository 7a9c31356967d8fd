"""How processes end: signals are noted, and obeyed when what was done is saved."""

from __future__ import annotations

import atexit
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

# USR2 comes from submitit before the time limit; USR1 is what some clusters send instead; HUP from
# a terminal that is closed.
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
PR_SET_PDEATHSIG = 1  # of Linux's prctl
KILL_SECONDS = 3600.0  # SLURM kills a pre-empted or cancelled job after its grace time


def shown_signal(number: int) -> str:
    """What messages call a signal.

    Example: `shown_signal(2) == "Ctrl-C"`, `shown_signal(15) == "SIGTERM"`
    """
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def ignore_stop_signals() -> None:
    """Lets SIGTERM end this process, and no other signal that a whole process group gets.

    For processes that load data, as long as they are needed.
    """
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


def end_with_parent(parent: int) -> None:
    """Lets the kernel end this process when its parent ends, in whatever way (Linux).

    Args:
        parent: its number; where it is gone already, this process ends at once.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def fail_at_exit() -> None:
    """Lets this process, one of several that work together, end with an error as soon as Python
    ends: the others wait for it, are ended only then, and libraries that end would wait for them
    (NCCL)."""
    atexit.register(_fail)


def _fail() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@contextmanager
def saying_what_is_kept(kept: Callable[[], str]) -> Iterator[None]:
    """Says, where Ctrl-C or another signal ends the block, what the next call finds.

    Args:
        kept: gives a clause, "finished frames are kept in clips"; empty: nothing is, or is said.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if said := kept():
            logger.warning("stopped; %s, run the same command again to resume", said)
        raise


class StopSignals:
    """While it is entered, a signal only sets `requested`; `obey` then does what the signal would
    have done.

    Args:
        doing: what is still done after a signal, for the message.

    Attributes:
        requested: number of the first signal that came, or 0.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self.requested = 0
        self._at_once = False
        self._owner = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        # Only the main thread may handle signals; elsewhere their owner has to take care.
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                # A signal that nobody waits for and that is harmless so far (a background shell
                # ignores SIGINT) stays so.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a signal is obeyed when it comes; for work that can be repeated from what is
        saved."""
        self._at_once = True
        if self.requested:
            self.obey(self.requested)
        try:
            yield
        finally:
            self._at_once = False

    def obey(self, number: int) -> None:
        """Hands the signal to whom it was meant for, and does not return.

        Submitit's handler of USR2 queues the job again. On SLURM a pre-empted job must wait to be
        killed, or it would count as failed instead of being queued again.
        """
        self._restore()
        # At its own exit Python asks its processes to end; one that is stopped would never do so.
        for child in multiprocessing.active_children():
            child.kill()
        signal.raise_signal(number)
        if "SLURM_JOB_ID" in os.environ:
            deadline = time.monotonic() + KILL_SECONDS
            while time.monotonic() < deadline:
                time.sleep(1.0)
        sys.exit(128 + number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if (
            os.getpid() != self._owner
        ):  # a forked child inherits the handler, and with it the right to queue the job again
            return
        if not self.requested:
            what = "the state is already saved" if self._at_once else self._doing
            os.write(
                2, f"{shown_signal(number)}: {what}, then this process ends\n".encode()
            )  # print may be what it interrupted
        self.requested = self.requested or number
        if self._at_once:
            self.obey(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
