"""Work beside the main thread: reading ahead, and writing behind.

Both wait when they are some items away from the main thread, so memory does not grow. Decoders,
encoders and OpenCV let other threads run meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.1
_END: Any = object()  # stands behind the last item


@contextmanager
def read_ahead(
    items: Iterable[T], depth: int, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Iterator[T]]:
    """The same items, made by another thread, up to `depth` of them ahead.

    An error of theirs comes where the item would have come. At the end of the block the thread has
    ended, and the items are closed.

    Args:
        cancelled: asked while an item is waited for; where it is true, the items end.
    """
    iterator = iter(items)
    pool = ThreadPoolExecutor(1, "read ahead")
    waiting = deque(pool.submit(next, iterator, _END) for _ in range(depth))

    def given() -> Iterator[T]:
        while True:
            while not wait([waiting[0]], POLL_SECONDS).done:
                if cancelled():
                    return
            item = waiting.popleft().result()
            if item is _END:
                return
            waiting.append(pool.submit(next, iterator, _END))
            yield item

    try:
        yield given()
    finally:
        pool.shutdown(cancel_futures=True)
        if close := getattr(iterator, "close", None):
            close()


class WriteBehind(Generic[T]):
    """Calls `work` with each item, in order, in another thread, up to `depth` of them behind.

    As a context manager it ends when all is done, or, after an error, at once; in either case its
    thread has ended then. An error of `work` ends the work: every later `put` and the end raise it.
    """

    def __init__(self, work: Callable[[T], None], depth: int) -> None:
        self._work, self._depth = work, depth
        self._error: BaseException | None = None
        self._pool = ThreadPoolExecutor(1, "write behind")
        self._waiting: deque[Future[None]] = deque()

    def put(self, item: T) -> None:
        """Hands an item over; waits while the other thread is too far behind."""
        while self._waiting and (self._waiting[0].done() or len(self._waiting) > self._depth):
            self._waiting.popleft().result()
        if self._error:
            raise self._error
        self._waiting.append(self._pool.submit(self._run, item))

    def _run(self, item: T) -> None:
        if self._error:  # an item is lost already
            return
        try:
            self._work(item)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> WriteBehind[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(cancel_futures=True)
        if kind is None and self._error:
            raise self._error
