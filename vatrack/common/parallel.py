"""Work spread over processes."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")


def ordered_map(
    work: Callable[[T, S], R], items: Iterable[T], processes: int, shared: S
) -> Iterator[R]:
    """`work(item, shared)` for every item, in order, in so many processes; only a few items and
    results wait at a time.

    With one process everything happens in this one.
    """
    if processes <= 1:
        for item in items:
            yield work(item, shared)
        return
    # Forking a process in which threads of libraries run can hang; a fresh interpreter cannot.
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_end_with_parent
    )
    try:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item, shared))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Futures that are cancelled one by one before the pool's end can leave older Pythons 3.11
        # waiting for ever.
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Ends this worker when its parent is killed; otherwise it would wait for work for ever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
