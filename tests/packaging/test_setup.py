"""`envs/setup` installs the libraries that OpenCV wants where it may, and names them where not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LIBRARIES = "libgl1 libglib2.0-0"
PYTHON = """\
case "$*" in *"import cv2"*)
    [ -e {libraries} ] || {{ echo "ImportError: {error}" >&2; exit 1; }}
esac
"""


def program(path: Path, text: str = "") -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("user", "error", "told"),
    [
        (0, "libGL.so.1: cannot open shared object file", f"setup: installing {LIBRARIES}"),
        (
            1000,
            "libgthread-2.0.so.0: cannot open shared object file",
            f"setup: missing on this machine: {LIBRARIES}; install (on Debian: apt-get install "
            f"{LIBRARIES}) and run again",
        ),
        (0, "numpy.core.multiarray failed to import", "numpy.core.multiarray failed to import"),
    ],
)
def test_a_machine_without_the_libraries(tmp_path: Path, user: int, error: str, told: str) -> None:
    """What installs is played: Python, uv and apt-get; the script is the real one."""
    venv, libraries = tmp_path / "venv", tmp_path / "libraries"
    program(venv / "bin/python", PYTHON.format(libraries=libraries, error=error))
    program(venv / "bin/uv")
    program(tmp_path / "bin/id", f"echo {user}\n")
    program(tmp_path / "bin/apt-get", f'case "$*" in *"{LIBRARIES}") touch {libraries}; esac\n')
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    command = [ROOT / "envs/setup", venv]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert told in ended.stdout + ended.stderr
    installed = "installing" in told
    assert (ended.returncode == 0) == installed == (venv / ".installed").exists()
    assert libraries.exists() == installed


@pytest.mark.parametrize("name", ["none", "old"])
def test_the_python_that_is_asked_for_is_used_or_named(tmp_path: Path, name: str) -> None:
    program(tmp_path / "old", "exit 1\n")  # what it says of its version
    python = tmp_path / name
    environment = {**os.environ, "PYTHON": str(python)}
    command = [ROOT / "envs/setup", tmp_path / "venv"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    told = f"setup: PYTHON={python}: no Python 3.11 or newer; correct it, or leave it out\n"
    assert ended.stderr == told
    assert not (tmp_path / "venv").exists()


def test_container_and_conda_have_the_same() -> None:
    assert f" {LIBRARIES} " in (ROOT / "envs/Containerfile").read_text()
    conda = yaml.safe_load((ROOT / "envs/vatrack.yaml").read_text())
    assert {"libgl", "libglib"} <= set(conda["dependencies"])
