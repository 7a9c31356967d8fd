"""Waiting for what must come, and whether a process lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path


def wait_until(
    condition: Callable[[], object],
    seconds: float = 120,
    process: BaseProcess | None = None,
    what: str = "what was waited for",
    pause: float = 0.01,
) -> None:
    """Returns when the condition holds.

    Args:
        seconds: after them the test has failed.
        process: who brings it about; where it ends before, the test has failed, too.
        what: for the message.
        pause: seconds between two looks.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come in {seconds:g} s"
        assert process is None or process.is_alive(), f"the process ended before {what}"
        time.sleep(pause)


def alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended; one that only waits for its parent to
    ask how has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
