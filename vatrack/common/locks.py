"""Locks on open files, between processes. Where a file system has none, work goes on as if
alone."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from vatrack.common.errors import InputError


@contextmanager
def locked(file: int | IO[Any], meanwhile: Callable[[], object] | None = None) -> Iterator[None]:
    """Waits for the lock of an open file and holds it.

    Args:
        file: the file, or its descriptor.
        meanwhile: called again and again while another process has the lock; it paces the waiting,
            and ends it by an exception.
    """
    with _waited(file, fcntl.LOCK_EX, meanwhile):
        yield


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
def opened_folder(path: Path) -> Iterator[int]:
    """The descriptor of a folder, to lock it or to write it through."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def only_run(folder: Path, out: Path, doing: str) -> Iterator[None]:
    """Holds the lock of a folder in which a command makes `out`, `doing` something ("unpacking").

    The folder is made, unless it is there; if the block then fails and leaves it empty, removed.

    Raises:
        InputError: another run of the command is at work there.
    """
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    with opened_folder(folder) as opened, try_locked(opened) as mine:
        # Another run may just have ended, and removed or renamed the folder that was opened.
        if not mine or not folder.exists() or not os.path.samestat(os.fstat(opened), folder.stat()):
            raise InputError(f"{out}: another run is {doing} there; wait until it ends")
        try:
            yield
        except BaseException:
            if made:
                with suppress(OSError):  # it is not empty
                    folder.rmdir()
            raise


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Makes a folder, unless it is there, and waits for its lock: for whoever moves finished files
    into it, which takes moments.

    Raises:
        TimeoutError: another process has held the lock for a minute.
    """
    folder.mkdir(exist_ok=True)
    with opened_folder(folder) as opened, locked(opened, patience(60, str(folder))):
        yield


@contextmanager
def shared(file: int | IO[Any], meanwhile: Callable[[], object]) -> Iterator[None]:
    """Holds the lock of an open file beside others that do; waits while one holds it alone.

    Args:
        file, meanwhile: see `locked`.
    """
    with _waited(file, fcntl.LOCK_SH, meanwhile):
        yield


@contextmanager
def _waited(
    file: int | IO[Any], kind: int, meanwhile: Callable[[], object] | None
) -> Iterator[None]:
    if meanwhile is None:
        with _flock(file, kind):
            yield
        return
    while True:
        with _flock(file, kind | fcntl.LOCK_NB) as mine:
            if mine:
                yield
                return
        meanwhile()


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
