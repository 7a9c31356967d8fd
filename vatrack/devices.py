"""Which device computes, and how long work shows its progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from vatrack.errors import InputError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
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
