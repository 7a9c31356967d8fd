"""Threads that wait for each other leave the cores to others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vatrack.__main__ import main
from vatrack.common.openmp import SPINS, share_cores


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is unset again afterwards
        monkeypatch.delenv(name)


def test_the_command_line_limits_the_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["vatrack", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ["GOMP_SPINCOUNT"] == str(SPINS)


@pytest.mark.parametrize(
    ("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "ACTIVE")]
)
def test_what_the_user_has_set_stays(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    share_cores()
    assert (os.environ[name], os.environ.get("GOMP_SPINCOUNT")) in [(value, None), ("7", "7")]


@pytest.mark.slow
def test_pytorch_follows_it() -> None:
    """The library tells its settings when it is loaded."""
    code = "from vatrack.common.openmp import share_cores; share_cores(); import torch"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "GOMP_" not in shown.stderr:
        pytest.skip("this PyTorch uses another OpenMP")
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in shown.stderr
