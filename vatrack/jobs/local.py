"""Jobs that are processes of this machine: asked after, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.jobs.interrupt import never


@dataclass
class LocalJob:
    """A job that is a process of this machine, which starts one process for each task.

    Attributes:
        process: where this process started it (then its end can be seen without /proc).
        started: the process's start time from /proc; the number alone may belong to another process
            by now.
    """

    id: str
    started: int | None
    process: subprocess.Popen[Any] | None = None
    news: str = ""

    def alive(self, interrupted: Callable[[], bool] = never) -> bool:
        """Whether the process still runs. (That is known at once.)"""
        if self.process is not None:
            return self.process.poll() is None
        return self.started is not None and start_time(int(self.id)) == self.started

    def over(self) -> bool:
        """Whether the process has ended."""
        return not self.alive()

    def end(self, seconds: float) -> bool:
        """Tells the job to save its state and to end, waits, then ends what is left by force."""
        deadline = time.monotonic() + seconds
        children: set[int] = set()
        told = 0.0
        while self.alive() and time.monotonic() < deadline:
            children |= _children(int(self.id))
            # Again and again, because a process that only just starts ignores it.
            if time.monotonic() - told > 2:
                told = time.monotonic()
                self._signal(signal.SIGTERM)
            time.sleep(0.1)
        if self.alive():
            for child in children | _children(int(self.id)):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            self._signal(signal.SIGKILL)
            while self.alive():
                time.sleep(0.1)
        return True

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(int(self.id), number)

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return "its process no longer exists"


def start_time(pid: int) -> int | None:
    """When a process started, in ticks since the machine's start.

    None where there is none, or only its remains.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _children(pid: int) -> set[int]:
    """Of all its threads."""
    found: set[int] = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has just ended
            found |= {int(word) for word in file.read_text().split()}
    return found


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that these have started, and so on."""
    found: set[int] = set()
    new = {pid}
    while new:
        new = set[int]().union(*map(_children, new)) - found
        found |= new
    return found


def parents() -> list[tuple[int, int | None]]:
    """The two processes above this one, with their start times.

    They are a rule's shell, and the Snakemake that waits for it.
    """
    try:
        parent = os.getppid()
        above = int(Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, ValueError):
        return []
    return [(pid, start_time(pid)) for pid in (parent, above)]
