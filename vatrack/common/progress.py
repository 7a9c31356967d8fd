"""Progress of long work: a bar on a terminal, one line a minute in a log, on standard error.

Whoever silences the logger "vatrack" (see `logs`) gets neither.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

from vatrack.common import logs

T = TypeVar("T")
logger = logging.getLogger(__name__)
LOG_SECONDS = 60.0


def time_left(seconds: float) -> str:
    """A remaining time in words, in a unit that suits it.

    >>> time_left(380)
    'about 6 min left'
    """
    if seconds < 60:
        return "less than a minute left"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min left"
    if seconds < 48 * 3600:
        return f"about {seconds / 3600:.1f} h left"
    return f"about {seconds / 86400:.1f} days left"


def duration(seconds: float) -> str:
    """A time in words: its two largest units.

    >>> duration(93784)
    '1 d 2 h'
    """
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    amounts: list[str] = []
    for name, size in units:
        if whole >= size or amounts:
            amounts.append(f"{whole // size} {name}")
            whole %= size
    return " ".join(amounts[:2]) or ("0 s" if seconds < 0.05 else f"{seconds:.1f} s")


def progress(items: Iterable[T], title: str, total: int) -> Generator[T, None, None]:
    """A progress bar on a terminal, one line a minute in a log."""
    with counted_progress(title, total) as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def counted_progress(title: str, total: int | None) -> Iterator[Callable[[], None]]:
    """The same for items that are done in any order: yields a function to call after each.

    Without a total the time that is left is not known.
    """

    def shown(done: int, seconds: float, left: str) -> str:
        of = "" if total is None else f" of {total}"
        return f"{done}{of}{left} ({done / seconds:.1f} a second)"

    with _progress(title, total, shown) as advance:
        yield lambda: advance(1)


@contextmanager
def byte_progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """The same for work that is counted in bytes: yields a function to call, from any thread, with
    each further number."""

    def shown(done: int, seconds: float, left: str) -> str:
        of = "" if total is None else f" of {total / 1e9:.1f}"
        return f"{done / 1e9:.1f}{of} GB{left}"

    with _progress(title, total, shown, unit="B", unit_scale=True) as advance:
        yield advance


@contextmanager
def _progress(
    title: str, total: int | None, shown: Callable[[int, float, str], str], **looks: Any
) -> Iterator[Callable[[int], None]]:
    """`shown` says what is done, from its number, the seconds so far and the words on those left;
    `looks` are of the bar."""
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
                reported, left = now, ""
                if total is not None:
                    left = f", {time_left((now - start) / max(1, done) * max(0, total - done))}"
                logger.info("%s: %s", title, shown(done, now - start, left), extra=logs.BESIDE)

    disable = not sys.stderr.isatty() or logs.ROOT.level > logging.INFO
    with tqdm(total=total, desc=title, disable=disable, leave=False, **looks) as bar:
        yield advance
