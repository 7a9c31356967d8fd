"""Which device computes, how work is spread over processes, and how long work shows its progress."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from vatrack.errors import InputError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")
LOG_SECONDS = 60.0


def choose_device(name: str) -> torch.device:
    """ "auto" is the first GPU where there is one, else the CPU.

    Raises:
        InputError: a GPU is asked for and there is none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("config: training.device is cuda, but PyTorch finds no GPU here; set it to auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def allow_tf32(allowed: bool) -> None:
    """Whether a GPU may round the factors of convolutions and matrix products to TF32; by default PyTorch lets it partly."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def progress(items: Iterable[T], title: str, total: int) -> Iterator[T]:
    """A progress bar on a terminal, one line a minute in a log."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=title, total=total)
        return
    start = reported = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - reported >= LOG_SECONDS:
            reported = now
            left = (now - start) / count * (total - count)
            print(f"{title}: {count} of {total}, about {left / 60:.0f} min left", file=sys.stderr, flush=True)


def ordered_map(work: Callable[[T, S], R], items: Iterable[T], processes: int, shared: S) -> Iterator[R]:
    """`work(item, shared)` for every item, in order, in so many processes; only a few items and results wait at a time.

    With one process everything happens in this one.
    """
    if processes <= 1:
        for item in items:
            yield work(item, shared)
        return
    # Forking a process in which threads of libraries run can hang; a fresh interpreter cannot.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item, shared))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Futures that are cancelled one by one before the pool's end can leave older Pythons 3.11 waiting for ever.
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Ends this worker when its parent is killed; otherwise it would wait for work for ever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def byte_progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """The same for work that is counted in bytes: yields a function to call, from any thread, with each further number."""
    lock = threading.Lock()
    start = reported = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, reported
        with lock:
            done += count
            bar.update(count)
            now = time.monotonic()
            if bar.disable and now - reported >= LOG_SECONDS:
                reported = now
                left = (now - start) / max(1, done) * max(0, total - done)
                shown = f"{done / 1e9:.1f} of {total / 1e9:.1f} GB, about {left / 60:.0f} min left"
                print(f"{title}: {shown}", file=sys.stderr, flush=True)

    with tqdm(total=total, desc=title, unit="B", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
        yield advance
