"""Loads batches or frames in processes of their own, in order, and never waits for ever.

A loading process is forked for a share of the items (every n-th) and keeps a few results ready.
What its reader finds out by itself: a process that ended, one that gives no answer, and a signal
that came meanwhile.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import connection
from multiprocessing.util import Finalize
from typing import Generic, TypeVar

import torch

from vatrack.common.errors import InputError
from vatrack.common.signals import NUMBERS
from vatrack.config import ComputeConfig
from vatrack.data.loading_process import (
    LoadingProcess,
    explained,
    load_here,
    memory_advice,
    open_result,
)

POLL_SECONDS = 0.5
# How long a result is still waited for when a signal asks for the end.
STOP_SECONDS = 5.0
# A signal to a process group ends loading processes at once; this one notes it a little later.
SAME_SIGNAL_SECONDS = 2.0
FILES = 4096  # the soft limit of open files is raised to this where the hard limit allows it

T = TypeVar("T")
R = TypeVar("R")


def load_in_order(
    load: Callable[[T], R],
    items: Sequence[T],
    compute: ComputeConfig,
    *,
    pin: Callable[[R], R] | None = None,
    stop: Callable[[], bool] = lambda: False,
    obey: Callable[[], object] = lambda: None,
) -> Iterator[R]:
    """`load(item)` for every item, in order, in `compute.workers` processes (0: in this one).

    What `load` returns must not depend on the process that it runs in; then the number of processes
    changes nothing. Tensors arrive in memory of their own. The processes end with the iteration,
    however it ends, and with this process.

    Args:
        pin: copies a result to page-locked memory, in a thread, while the one before is used.
        stop: whether a signal asked for the end. Then results are still handed out, which are
            loaded here where the signal ended the loading processes.
        obey: called when `stop` and the next result does not come for `STOP_SECONDS`.

    Raises:
        InputError: as raised by `load`; or a loading process was ended, or gave no answer for
            `compute.loader_timeout_seconds`; or memory, processes or open files do not suffice.

    Example:
        >>> from vatrack.config import ComputeConfig
        >>> list(load_in_order(lambda number: number**2, [1, 2, 3], ComputeConfig(workers=2)))
        [1, 4, 9]
    """
    # Without memfd (other systems than Linux) nothing is as safe as loading here.
    count = min(compute.workers, len(items)) if hasattr(os, "memfd_create") else 0
    if count == 0:
        for item in items:
            yield load_here(load, item)
        return
    loaders = _Loaders(load, items, count, compute, stop, obey)
    try:
        if pin is None:
            for index in range(len(items)):
                yield loaders.take(index)
        else:
            yield from _pinned(loaders, len(items), pin)
    finally:
        loaders.end()


def _pinned(loaders: _Loaders[T, R], count: int, pin: Callable[[R], R]) -> Iterator[R]:
    device = torch.cuda.current_device()
    with ThreadPoolExecutor(1, initializer=torch.cuda.set_device, initargs=(device,)) as thread:

        def begin(index: int) -> Future[R]:
            try:
                return thread.submit(pin, loaders.take(index))
            except Exception as error:  # it is raised when its turn comes
                failed = Future[R]()
                failed.set_exception(error)
                return failed

        following: Future[R] | None = None
        for index in range(count):
            batch = (following or begin(index)).result()
            early = index + 1 < count and loaders.ready(index + 1)
            following = begin(index + 1) if early else None
            yield batch


class _Loaders(Generic[T, R]):
    """The loading processes of one iteration."""

    def __init__(
        self,
        load: Callable[[T], R],
        items: Sequence[T],
        count: int,
        compute: ComputeConfig,
        stop: Callable[[], bool],
        obey: Callable[[], object],
    ) -> None:
        self._load, self._items, self._stop, self._obey = load, items, stop, obey
        self._timeout, self._workers = compute.loader_timeout_seconds, compute.workers
        self._processes: list[LoadingProcess] = []
        # Before multiprocessing, at this process's end, asks each process to end and waits for it:
        # one that is stopped would never answer.
        self.end = Finalize(self, _end, args=(self._processes,), exitpriority=10)
        _raise_file_limit()
        # A new process must not meet a signal before it knows what to do.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
        try:
            for number in range(count):
                self._processes.append(LoadingProcess(load, items[number::count]))
        except OSError as error:
            self.end()
            raise explained(error, "no data-loading process can be started") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def ready(self, index: int) -> bool:
        """Whether a result can be taken without waiting."""
        return bool(connection.wait([self._of(index).socket], 0))

    def take(self, index: int) -> R:
        """The result of an item; they are taken in order."""
        process = self._of(index)
        if self._wait(process):
            message, files = process.receive()
            if message:
                result: R = open_result(message, files)
                return result
        self._check_end(process)
        return load_here(self._load, self._items[index])

    def _of(self, index: int) -> LoadingProcess:
        return self._processes[index % len(self._processes)]

    def _wait(self, process: LoadingProcess) -> bool:
        """Until there is a message; False where the process ended without one."""
        # Counted in looks, not by the clock: while this process itself is stopped, nothing is late.
        looks, stop_looks = 0, 0
        while not (found := connection.wait([process.socket, process.sentinel], POLL_SECONDS)):
            looks += 1
            stop_looks += self._stop()
            if stop_looks * POLL_SECONDS >= STOP_SECONDS:
                self._obey()
            if looks * POLL_SECONDS >= self._timeout:
                raise InputError(
                    f"a data-loading process did not respond for {self._timeout:g} s "
                    f"{process.doing()}; check that the frames are readable, or increase "
                    "compute.loader_timeout_seconds"
                )
        return process.socket in found

    def _check_end(self, process: LoadingProcess) -> None:
        """Returns where a signal to all processes ended this one, too.

        Raises:
            InputError: it ended for another reason.
        """
        process.join(5)
        code = process.exitcode
        deadline = time.monotonic() + SAME_SIGNAL_SECONDS
        while code == -signal.SIGTERM and not self._stop() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._stop():
            return
        advice = memory_advice(self._workers)
        names = {-number.value: number.name for number in signal.Signals}
        name = names.get(code or 0, f"exit code {code}")
        what = f"a data-loading process ended ({name}) {process.doing()}"
        raise InputError(
            {
                -signal.SIGKILL: f"{what}: probably out of memory; {advice}",
                -signal.SIGBUS: f"{what}: a file was truncated while it was read, or out of "
                f"memory; {advice}",
                -signal.SIGTERM: f"{what}, killed from outside; run the command again",
            }.get(code or 0, f"{what}; check that file for damage")
        )


def _end(processes: list[LoadingProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join(5)  # what waits for a dead disk cannot even be killed
        process.socket.close()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
