"""Work spread over processes.

`ordered_map` is for short work on many items, `ordered_streams` for few long ones.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, resource_tracker
from typing import Any, Generic, NoReturn, TypeVar

from vatrack.common.errors import VatrackError
from vatrack.common.pool_worker import begin, interruptible
from vatrack.common.signals import NUMBERS, end_with_parent, ignore_stop_signals

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")
V = TypeVar("V")


FEWER = "use fewer --processes"
_MAIN = threading.Lock()  # two threads would take each other's change for what was there before


def ordered_map(
    work: Callable[[T, S], R],
    items: Iterable[T],
    processes: int,
    shared: S,
    fewer: str = FEWER,
) -> Iterator[R]:
    """`work(item, shared)` for every item, in order, in so many processes; only a few items and
    results wait at a time.

    With one process everything happens in this one. When the iteration ends early, the work that
    still runs is interrupted by a KeyboardInterrupt.

    Args:
        fewer: for the message, what lowers the number of processes.

    Raises:
        BrokenProcessPool: a process was killed.
        Exception: what the work on an item raised.
    """
    if processes <= 1:
        for item in items:
            yield work(item, shared)
        return
    # Forking a process in which threads of libraries run can hang; a fresh interpreter cannot.
    ended, end = connection.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=begin, initargs=(ended,)
    )

    def submit(item: T) -> Future[R]:
        with _signals_afterwards(), _main_is_not_read(work):  # it may start a process
            return pool.submit(interruptible, work, item, shared)

    with ended, end:
        try:
            waiting: deque[Future[R]] = deque()
            for item in items:
                waiting.append(_unless_killed(fewer, submit, item))
                if len(waiting) > 2 * processes:
                    yield _unless_killed(fewer, waiting.popleft().result)
            while waiting:
                yield _unless_killed(fewer, waiting.popleft().result)
        finally:
            end.send_bytes(b"end")  # nobody reads it: every worker sees that it is there
            # Futures that are cancelled one by one before the pool's end can leave older Pythons
            # 3.11 waiting for ever.
            pool.shutdown(cancel_futures=True)


def killed(fewer: str) -> BrokenProcessPool:
    """The error of a worker process that was killed; `fewer`: what lowers their number."""
    return BrokenProcessPool(
        f"a worker process was killed, probably because memory ran out; {fewer}"
    )


def _unless_killed(fewer: str, call: Callable[..., V], *arguments: Any) -> V:
    try:
        return call(*arguments)
    except BrokenProcessPool as error:
        raise killed(fewer) from error


# A signal to a process group ends workers at once; this process notes it a little later.
SAME_SIGNAL_SECONDS = 2.0
WAITING_ITEMS = 4  # for each process: items whose results may wait for those of an earlier item


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_streams(
    start: Callable[[S], Callable[[T], Iterable[R]]],
    shared: S,
    items: Sequence[T],
    processes: int,
    advance: Callable[[], None] = lambda: None,
) -> Iterator[R]:
    """All results of every item, in order, each item worked on by one of so many processes.

    `start(shared)` is called once in each process, and what it returns for each item there. For
    work that takes long: results come one by one, and the processes are killed when the iteration
    ends, however it ends, and when this process does.

    Args:
        advance: called whenever a result arrives, in whatever order.

    Raises:
        BrokenProcessPool: a process was killed.
        Exception: what `start`, or the work on an item, raised; a note has the traceback.
    """
    workers: list[_Worker[R]] = []
    try:
        with _signals_afterwards(), _main_is_not_read(start):
            while len(workers) < min(processes, len(items)):
                workers.append(_Worker(start, shared))
        waiting: dict[int, deque[R]] = defaultdict(deque)
        current = given = 0
        while current < len(items):
            limit = min(len(items), current + WAITING_ITEMS * processes)
            for worker in workers:
                if worker.item is None and given < limit:
                    worker.give(given, items[given])
                    given += 1
            for number, result in _receive(workers):
                advance()
                waiting[number].append(result)
            busy = {worker.item for worker in workers}
            while current < given:
                while waiting[current]:
                    yield waiting[current].popleft()
                if current in busy:
                    break
                del waiting[current]
                current += 1
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.pipe.close()


@contextmanager
def _signals_afterwards() -> Iterator[None]:
    """Signals that come inside are handled at the end: a process that is half started would fail
    with a traceback, and a new one must not meet a signal before it knows what to do."""
    came: list[int] = []
    before: dict[int, Any] = {}
    # Python starts it with the first process, and takes the mask away then.
    resource_tracker.ensure_running()
    # The mask is for the new processes; a signal may still come to another thread of this one.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, lambda which, _: came.append(which))
        yield
    finally:
        for handled, handler in before.items():
            signal.signal(handled, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        for caught in came:
            signal.raise_signal(caught)


@contextmanager
def _main_is_not_read(work: Callable[..., Any]) -> Iterator[None]:
    """New processes begin without the user's script: one that does not ask for its `__name__` would
    run again in each of them, and none would ever start to work."""
    main: Any = sys.modules["__main__"]
    if work.__module__ == "__main__":  # it is needed
        yield
        return
    with _MAIN:
        # In a notebook it has no `__file__`, and shall have none afterwards.
        before = {name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)}
        main.__spec__ = main.__file__ = None
        try:
            yield
        finally:
            del main.__spec__, main.__file__
            vars(main).update(before)


class _Worker(Generic[R]):
    """A process of `ordered_streams`; `item`: the number of the item that it works on."""

    def __init__(self, start: Callable[[Any], Any], shared: Any) -> None:
        self.pipe, theirs = connection.Pipe()
        self.item: int | None = None
        with theirs:
            self.process = get_context("spawn").Process(
                target=_work, args=(start, shared, theirs, os.getpid())
            )
            self.process.start()

    def give(self, number: int, item: Any) -> None:
        self.item = number
        try:
            self.pipe.send(item)
        except OSError:
            self.fail()

    def receive(self) -> tuple[str, Any]:
        try:
            message: tuple[str, Any] = self.pipe.recv()
        except (EOFError, OSError):
            self.fail()
        return message

    def fail(self) -> NoReturn:
        """Where a signal to all processes ended this one, it ends this process here, too."""
        self.process.join(5)
        if self.process.exitcode == -signal.SIGTERM:
            time.sleep(SAME_SIGNAL_SECONDS)
        raise killed(FEWER) from BrokenProcessPool(f"exit code {self.process.exitcode}")


def _receive(workers: list[_Worker[R]]) -> Iterator[tuple[int, R]]:
    """The results that are there, one of each process, after waiting for the first."""
    at_work = [worker for worker in workers if worker.item is not None]
    ready = set(connection.wait([worker.pipe for worker in at_work]))
    for worker in (worker for worker in at_work if worker.pipe in ready):
        what, value = worker.receive()
        if what == "error":
            raise value
        if what == "end":
            worker.item = None
        elif worker.item is not None:
            yield worker.item, value


def _work(
    start: Callable[[Any], Callable[[Any], Iterable[Any]]],
    shared: Any,
    pipe: connection.Connection,
    parent: int,
) -> None:
    """What a process of `ordered_streams` does."""
    ignore_stop_signals()
    end_with_parent(parent)
    try:
        work = start(shared)
        while True:
            for result in work(pipe.recv()):
                pipe.send(("result", result))
            pipe.send(("end", None))
    except (EOFError, BrokenPipeError):  # the parent is gone
        return
    except Exception as error:  # whatever it is, the parent shall say it
        trace = traceback.format_exc()
        if not isinstance(error, VatrackError):
            error.add_note(f"in a worker process:\n{trace}")
        try:
            pipe.send(("error", error))
        except Exception:  # it cannot be sent
            pipe.send(("error", RuntimeError(trace)))
