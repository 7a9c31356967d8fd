"""SIGINT to Snakemake: its jobs get it, too, and a second one is answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType

from vatrack.jobs.local import descendants

PROBE_SECONDS = 0.5
STOPPED = "stopped\n"
STILL = "already stopping; the running jobs end first (a training here saves its state)\n"


class Interrupt:
    """The handler of SIGINT of the program `snakemake`.

    Ctrl-C on a terminal reaches every process of the command. A signal to Snakemake alone (`kill
    -INT`, a notebook) does not, and Snakemake would wait for its jobs, a training for days. So they
    get it from here; but only where they have not, because a second one may mean something else to
    them.
    """

    def __init__(self) -> None:
        self._installed = self._came = False
        self._probe: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Takes the place of Python's own handler; where SIGINT is ignored, it stays so."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._stop)
            self._installed = True

    def begin(self) -> None:
        """For when the first job is about to start."""
        if self._installed:
            # No handler in Python is told who sent a signal. This process is of the same group: it
            # ends where that gets the signal. At the latest it ends with this one, which alone has
            # the other end of the pipe.
            self._probe = subprocess.Popen(
                ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def _stop(self, number: int, _: FrameType | None) -> None:
        before, self._came = self._came, True
        if self._probe is None:
            os.write(2, STOPPED.encode())
        elif before:
            os.write(2, STILL.encode())
            return
        elif not self._reached(self._probe):
            self._pass_on(number)
        sys.exit(128 + number)  # to Snakemake's scheduler the same as a KeyboardInterrupt

    @staticmethod
    def _reached(probe: subprocess.Popen[bytes]) -> bool:
        try:
            return probe.wait(PROBE_SECONDS) == -signal.SIGINT
        except subprocess.TimeoutExpired:
            return False

    @staticmethod
    def _pass_on(number: int) -> None:
        """To all below this process that Ctrl-C would reach."""
        group = os.getpgrp()
        for child in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                if os.getpgid(child) == group:
                    os.kill(child, number)
