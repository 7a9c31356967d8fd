"""Reading ahead and writing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from vatrack.common.background import WriteBehind, read_ahead


def test_items_come_in_order_and_only_a_few_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    with read_ahead(items(), 3) as given:
        found = []
        for number in given:
            time.sleep(0.001)
            found.append(number)
            assert len(made) <= number + 6
    assert found == list(range(50))


def test_an_error_comes_where_its_item_would_have_come() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with read_ahead(items(), 3) as given:
        assert next(given) == 1
        with pytest.raises(ValueError, match="broken"):
            next(given)


def test_leaving_early_ends_the_thread_and_closes_the_items() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield (number := number + 1)
        finally:
            closed.set()

    before = threading.active_count()
    with read_ahead(items(), 2) as given:
        assert next(given) == 1
    assert closed.is_set()
    assert threading.active_count() == before


def test_all_is_written_in_order_before_the_end() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        time.sleep(0.001)
        done.append(number)

    with WriteBehind(work, 2) as writer:
        for number in range(30):
            writer.put(number)
    assert done == list(range(30))


def test_an_error_of_the_work_is_raised() -> None:
    def work(number: int) -> None:
        raise OSError("full")

    def write() -> None:
        with WriteBehind(work, 2) as writer:
            for number in range(1000):
                writer.put(number)

    with pytest.raises(OSError, match="full"):
        write()

    def write_one() -> None:
        with WriteBehind(work, 2) as writer:
            writer.put(1)

    with pytest.raises(OSError, match="full"):
        write_one()


@pytest.mark.parametrize(("error", "whole"), [(ValueError, False), (KeyboardInterrupt, True)])
def test_a_stop_lets_waiting_items_be_written_and_an_error_does_not(
    error: type[BaseException], whole: bool
) -> None:
    done: list[int] = []
    release = threading.Event()

    def work(number: int) -> None:
        release.wait()
        done.append(number)

    def write() -> None:
        with WriteBehind(work, 5) as writer:
            for number in range(4):
                writer.put(number)
            threading.Timer(0.3, release.set).start()
            raise error

    with pytest.raises(error):
        write()
    assert (done == [0, 1, 2, 3]) is whole
