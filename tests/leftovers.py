"""What test runs leave in the folder for temporary files when they are killed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from vatrack.common.user import user_name


def remove_leftovers(temporary: Path) -> None:
    """Removes pytest's folders of runs whose process is gone without an end.

    Pytest itself takes them for those of a running process for three days. Of runs that ended with
    a failure it keeps the last three.
    """
    for lock in temporary.glob(f"pytest-of-{user_name()}/pytest-*/.lock"):
        with suppress(OSError, ValueError):
            process = int(lock.read_text())
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                shutil.rmtree(lock.parent, ignore_errors=True)
