"""Folders of killed test runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.leftovers import remove_leftovers
from vatrack.common.user import user_name

KILLED = """
import os

def test_killed(tmp_path):
    (tmp_path / "large").write_bytes(bytes(1000))
    os.kill(os.getpid(), 9)
"""
FAILED = """
def test_failed(tmp_path):
    (tmp_path / "kept").touch()
    assert False
"""


def run(folder: Path, test: str) -> int:
    file = folder / "test_it.py"
    file.write_text(test)
    words = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), str(file)]
    environment = os.environ | {"TMPDIR": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=False).returncode


def test_folders_of_killed_runs_are_removed_and_no_other(tmp_path: Path) -> None:
    assert run(tmp_path, KILLED) == -signal.SIGKILL
    assert run(tmp_path, FAILED) == 1
    killed, failed = (tmp_path / f"pytest-of-{user_name()}/pytest-{n}" for n in (0, 1))
    assert list(killed.glob("*/large"))
    running = killed.with_name("pytest-2")
    running.mkdir()
    (running / ".lock").write_text(str(os.getpid()))
    remove_leftovers(tmp_path)
    assert not killed.exists() and running.exists() and list(failed.glob("*/kept"))
