"""Threads that read ahead and write behind: order, limits, errors, and that they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.waiting import wait_until
from vatrack.common.background import WriteBehind, read_ahead


def threads() -> set[str]:
    names = {item.name for item in threading.enumerate()}
    return {name for name in names if name.startswith(("read ahead", "write behind"))}


def counted(number: int, made: list[int]) -> Iterator[int]:
    try:
        for item in range(number):
            made.append(item)
            yield item
    finally:
        made.append(-1)


def test_items_come_in_order_and_not_too_far_ahead() -> None:
    made: list[int] = []
    with read_ahead(counted(100, made), 3) as items:
        assert next(items) == 0
        wait_until(lambda: len(made) >= 4)
        time.sleep(0.05)
        assert len(made) == 4, "three wait, one was taken"
        assert list(items) == list(range(1, 100))
    assert made[-1] == -1 and not threads()


def test_an_error_of_the_items_comes_where_it_happened() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with read_ahead(broken(), 3) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="disk"):
            next(items)
    assert not threads()


def test_items_that_are_not_wanted_any_more_are_closed() -> None:
    made: list[int] = []
    with read_ahead(counted(10**9, made), 2) as items:
        next(items)
    assert made[-1] == -1 and not threads()


def test_waiting_ends_when_it_is_cancelled() -> None:
    release, cancelled = threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        release.wait(10)

    with read_ahead(slow(), 2, cancelled.is_set) as items:
        assert next(items) == 1
        cancelled.set()
        assert list(items) == []
        release.set()
    assert not threads()


def test_all_is_written_in_order() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        time.sleep(0.001)
        done.append(item)

    with WriteBehind(work, 2) as writer:
        for item in range(50):
            writer.put(item)
            assert item - len(done) <= 4
    assert done == list(range(50)) and not threads()


@pytest.mark.parametrize("number", [4, 6, 1000])
def test_an_error_of_the_work_is_raised_and_no_later_item_is_written(number: int) -> None:
    done: list[int] = []
    queued = threading.Event()

    def work(item: int) -> None:
        if item == 3:
            assert queued.wait(10)
            raise OSError("disk")
        done.append(item)

    def write() -> None:
        with WriteBehind(work, 5) as writer:
            for item in range(number):
                writer.put(item)
                if item == min(number - 1, 5):
                    queued.set()

    with pytest.raises(OSError, match="disk"):
        write()
    assert done == [0, 1, 2] and not threads()


def test_an_error_of_the_work_is_raised_each_time() -> None:
    def work(item: int) -> None:
        raise OSError(f"disk {item}")

    def write() -> None:
        with WriteBehind(work, 0) as writer:
            writer.put(0)
            for item in range(1, 5):
                with pytest.raises(OSError, match="disk 0"):
                    writer.put(item)

    with pytest.raises(OSError, match="disk 0"):
        write()
    assert not threads()


def test_after_an_error_outside_no_more_is_written() -> None:
    done: list[int] = []
    writers: list[WriteBehind[int]] = []

    def work(item: int) -> None:
        waiting = writers[0]._waiting  # the end comes while it is at work
        wait_until(lambda: waiting and waiting[-1].cancelled())
        done.append(item)

    def write() -> None:
        with WriteBehind(work, 5) as writer:
            writers.append(writer)
            for item in range(5):
                writer.put(item)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        write()
    assert len(done) <= 1 and not threads()
