"""Functions that tests/training/test_launch.py runs in jobs: importable by name in a fresh process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from vatrack.errors import InputError


def report(word: str) -> str:
    print(f"out: {word} in process {os.getpid()}")
    print(f"err: {word}, no end of line", file=sys.stderr, end="")
    return f"did {word}"


def bad_input() -> str:
    raise InputError("train.json: cut off; fetch it again")


def crash() -> str:
    print("about to crash")
    raise ZeroDivisionError("a bug")


def vanish() -> str:
    """Ends as a process does that runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def wait_with_child(place: Path) -> str:
    """Starts a child process, as a data loader does, writes both process ids into `place`, and waits."""
    child = subprocess.Popen(["sleep", "300"])
    place.with_suffix(".part").write_text(f"{os.getpid()} {child.pid}")
    place.with_suffix(".part").rename(place)
    time.sleep(300)
    return "never"
