"""Memory that a process keeps."""

from __future__ import annotations

import ctypes
import platform
import resource
import subprocess
import sys

import pytest

from vatrack.common import allocator

ROUNDS = 40
FAULTS = f"""
import resource
import torch
from vatrack.common.allocator import keep_memory
print(keep_memory())
for _ in range(10):  # the heap grows to its size
    torch.ones(10_000_000).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    torch.ones(10_000_000).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 10_000_000 * 4 // resource.getpagesize()

only_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc here")


def _run(**environment: str) -> tuple[str, int]:
    output = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return output[0], int(output[1])


@only_glibc
def test_freed_memory_is_used_again() -> None:
    done, faults = _run()
    assert done == "True"
    assert faults < ROUNDS * PAGES / 4  # what another thread takes may make the heap grow


@only_glibc
@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_ARENA_MAX": "2"},
        {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"},
        {"LD_PRELOAD": "/nowhere/libjemalloc.so"},
    ],
)
def test_what_the_user_sets_wins(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ctypes, "CDLL", None)  # would fail if it were called
    assert allocator.keep_memory() is False


def test_nothing_is_done_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", None)
    assert allocator.keep_memory() is False
