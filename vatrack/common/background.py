"""Work beside the main thread: reading ahead, and writing behind.

Both wait when they are some items away from the main thread, so memory does not grow. Decoders,
encoders and OpenCV let other threads run meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from typing import Any, Generic, TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.1


class _End:
    """Stands behind the last item; with the error that ended the items, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def read_ahead(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """The same items, made by another thread, up to `depth` of them ahead.

    An error of theirs comes where the item would have come. At the end of the block the thread has
    ended, and the items are closed.
    """
    queue: Queue[Any] = Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                queue.put(item, timeout=POLL_SECONDS)
                return True
            except Full:
                continue
        return False

    def read() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    break
            put(_End())
        except BaseException as error:
            put(_End(error))
        finally:
            if close := getattr(iterator, "close", None):
                close()

    def given() -> Iterator[T]:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    thread = threading.Thread(target=read, name="read ahead", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        stop.set()
        thread.join()


class WriteBehind(Generic[T]):
    """Calls `work` with each item, in order, in another thread, up to `depth` of them behind.

    As a context manager it ends when all is done, or, after an error, at once. An error of `work`
    is raised by the next `put` or at the end.
    """

    def __init__(self, work: Callable[[T], None], depth: int) -> None:
        self._work, self._queue = work, Queue[Any](depth)
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="write behind", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hands an item over; waits while the other thread is too far behind."""
        while True:
            if self._error is not None:
                raise self._error
            try:
                self._queue.put(item, timeout=POLL_SECONDS)
                return
            except Full:
                continue

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=POLL_SECONDS)
            except Empty:
                continue
            if isinstance(item, _End):
                return
            try:
                self._work(item)
            except BaseException as error:
                self._error = error
                return

    def __enter__(self) -> WriteBehind[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt | SystemExit):
            self._finish()
        self._stop.set()
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _finish(self) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(_End(), timeout=POLL_SECONDS)
                break
            except Full:
                continue
        self._thread.join()
