"""What libraries in C write to standard error by themselves."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@cache
def _streams() -> tuple[ctypes.c_void_p, int | None, int | None] | None:
    """C's variable `stderr`, what it holds, and a stream that leads nowhere.

    None where it has another name or may not be changed: anywhere but in glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    variable = ctypes.c_void_p.in_dll(library, "stderr")
    nowhere = library.fopen(os.devnull.encode(), b"w")
    return (variable, variable.value, nowhere) if nowhere else None


@contextmanager
def c_messages_hidden() -> Iterator[None]:
    """Hides what libraries in C say in the block.

    Python has a stream of its own: what other threads print is shown. Where blocks of two threads
    overlap, the first that ends lets through what the other one still says.
    """
    streams = _streams()
    if streams is None:
        yield
        return
    variable, usual, nowhere = streams
    variable.value = nowhere
    try:
        yield
    finally:
        variable.value = usual
