"""Runs a job of a benchmark in a process of its own and measures what it takes."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any


def run(script: str, arguments: Sequence[object]) -> tuple[float, float, Any]:
    """Seconds, peak memory in MB (of the process and its children together), and what the job
    printed last, as JSON."""
    command = [sys.executable, script, *map(str, arguments)]
    # Compiled modules are kept between runs, as those of an installed package are, whatever the
    # surroundings say.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": compiled()}
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        peak = [0.0]
        watcher = threading.Thread(target=watch, args=(child.pid, peak))
        watcher.start()
        output, _ = child.communicate()
        seconds = time.perf_counter() - start
        watcher.join()
    if child.returncode:
        raise SystemExit(child.returncode)
    return seconds, peak[0], json.loads(output.splitlines()[-1]) if output.strip() else None


@cache
def compiled() -> str:
    """A folder for compiled modules that is removed at the end."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return folder.name


def watch(pid: int, peak: list[float]) -> None:
    """Proportional set sizes of a process and its descendants, added up, ten times a second."""
    while True:
        total, alive = 0.0, False
        for process in descendants(pid):
            try:
                lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            found = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
            alive = alive or (process == pid and bool(found))
            total += sum(found) / 1000
        peak[0] = max(peak[0], total)
        if not alive:
            return
        time.sleep(0.1)


def descendants(pid: int) -> list[int]:
    found = [pid]
    for process in found:
        try:
            for task in Path(f"/proc/{process}/task").iterdir():
                found.extend(map(int, (task / "children").read_text().split()))
        except OSError:
            continue
    return found
