"""Progress of long work: a bar on a terminal, one line a minute in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
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
    parts: list[str] = []
    for name, size in units:
        if whole >= size or parts:
            parts.append(f"{whole // size} {name}")
            whole %= size
    return " ".join(parts[:2]) or ("0 s" if seconds < 0.05 else f"{seconds:.1f} s")


def progress(items: Iterable[T], title: str, total: int) -> Iterator[T]:
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
    start = reported = time.monotonic()
    count = 0

    def advance() -> None:
        nonlocal count, reported
        count += 1
        bar.update()
        now = time.monotonic()
        if bar.disable and now - reported >= LOG_SECONDS:
            reported = now
            text = f"{title}: {count}"
            if total is not None:
                left = (now - start) / count * max(0, total - count)
                text += f" of {total}, {time_left(left)}"
            print(f"{text} ({count / (now - start):.1f} a second)", file=sys.stderr, flush=True)

    with tqdm(total=total, desc=title, disable=not sys.stderr.isatty(), leave=False) as bar:
        yield advance


@contextmanager
def byte_progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """The same for work that is counted in bytes: yields a function to call, from any thread, with
    each further number."""
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
                shown = f"{done / 1e9:.1f} GB"
                if total is not None:
                    left = (now - start) / max(1, done) * max(0, total - done)
                    shown = f"{done / 1e9:.1f} of {total / 1e9:.1f} GB, {time_left(left)}"
                print(f"{title}: {shown}", file=sys.stderr, flush=True)

    disable = not sys.stderr.isatty()
    with tqdm(
        total=total, desc=title, unit="B", unit_scale=True, disable=disable, leave=False
    ) as bar:
        yield advance
