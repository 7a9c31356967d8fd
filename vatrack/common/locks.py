"""Locks on open files, between processes. Where a file system has none, work goes on as if
alone."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def locked(file: int | IO[Any], meanwhile: Callable[[], object] | None = None) -> Iterator[None]:
    """Waits for the lock of an open file and holds it.

    Args:
        file: the file, or its descriptor.
        meanwhile: called again and again while another process has the lock; it paces the waiting,
            and ends it by an exception.
    """
    if meanwhile is None:
        with _flock(file, fcntl.LOCK_EX):
            yield
        return
    while True:
        with try_locked(file) as mine:
            if mine:
                yield
                return
        meanwhile()


def patience(seconds: float, what: str) -> Callable[[], None]:
    """For `locked`: waits so long for a lock, then gives up.

    Raises:
        TimeoutError: (from what is returned) the time is over; the message begins with `what`.
    """
    deadline = time.monotonic() + seconds

    def wait() -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: another process has held its lock for {seconds:.0f} s")
        time.sleep(0.1)

    return wait


@contextmanager
def try_locked(file: int | IO[Any]) -> Iterator[bool]:
    """Holds the lock of an open file if it is free; yields whether it is."""
    with _flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
        yield mine


@contextmanager
def shared(file: int | IO[Any]) -> Iterator[None]:
    """Holds the lock of an open file beside others that do; waits while one holds it alone."""
    with _flock(file, fcntl.LOCK_SH):
        yield


@contextmanager
def _flock(file: int | IO[Any], kind: int) -> Iterator[bool]:
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        yield False
        return
    except OSError:  # some network file systems have no locks
        yield True
        return
    try:
        yield True
    finally:
        # Closing is not enough: a process that was forked meanwhile (a data loader's worker) has
        # the file open, too.
        fcntl.flock(file, fcntl.LOCK_UN)


def held(path: Path) -> bool | None:
    """Whether a process holds the lock of a file; None where that cannot be known."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    except OSError:
        return None
    with file:
        try:
            # A shared lock needs no right to write.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # some network file systems have no locks
            return None
        fcntl.flock(file, fcntl.LOCK_UN)
        return False
