"""Waiting for what must come, and whether a process lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    seconds: float = 120,
    what: str = "what was waited for",
    process: BaseProcess | None = None,
    pause: float = 0.01,
) -> T:
    """Returns when the condition holds, with what it returned.

    Args:
        seconds: after them the test has failed.
        what: for the message.
        process: who brings it about; where it ends before, the test has failed, too.
        pause: seconds between two looks.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come in {seconds:g} s"
        assert process is None or process.is_alive(), f"the process ended before {what}"
        time.sleep(pause)
    return found


def alive(pid: int) -> bool:
    """Whether a process lives; one that has ended does not, even before its parent asks how."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
