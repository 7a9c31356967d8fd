"""What a worker of `vatrack.common.parallel.ordered_map` does besides its work."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import TypeVar

from vatrack.common.signals import ignore_stop_signals

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")


@dataclass
class _State:
    """Whether this worker works on an item, and whether it is to end."""

    works: bool = False
    ended: bool = False


_state = _State()


def begin(ended: connection.Connection) -> None:
    """Before the first item: from now on the parent says when work ends, and no signal that a whole
    process group gets does (but SIGTERM, with which the parent ends workers after a failure).

    A worker ends at once when its parent is killed; otherwise it would wait for work for ever.

    Args:
        ended: can be read from once the work is to end; nobody reads it.
    """
    parent, main = parent_process(), threading.get_ident()
    assert parent is not None
    ignore_stop_signals()
    signal.signal(signal.SIGINT, _interrupt)

    def wait() -> None:
        if parent.sentinel not in connection.wait([parent.sentinel, ended]):
            _state.ended = True
            signal.pthread_kill(main, signal.SIGINT)
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _interrupt(*_: object) -> None:
    """Nothing but work is interrupted: half a result would keep the parent waiting."""
    if _state.works and _state.ended:
        raise KeyboardInterrupt


def interruptible(work: Callable[[T, S], R], item: T, shared: S) -> R:
    """`work(item, shared)`, interrupted when the parent says that it is to end."""
    _state.works = True
    try:
        if _state.ended:
            raise KeyboardInterrupt
        return work(item, shared)
    finally:
        _state.works = False
