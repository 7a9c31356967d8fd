"""Permissions of results, which are made under temporary names that their owner alone may read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")  # of Linux


def share(path: Path, mode: int) -> None:
    """Gives a file or folder the permissions of one that is made with this mode: those that the
    umask leaves."""
    path.chmod(mode & ~_umask())


def _umask() -> int:
    """`os.umask` tells it by changing it, for all threads: meanwhile they write files that anybody
    may change, and two that ask at once can leave it at 0."""
    with suppress(OSError):
        lines = map(str.split, _STATUS.read_text(encoding="ascii", errors="replace").splitlines())
        for name, *values in filter(None, lines):
            if name == "Umask:":
                return int(values[0], 8)
    umask = os.umask(0)
    os.umask(umask)
    return umask
