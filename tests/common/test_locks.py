"""Locks between processes."""

from __future__ import annotations

import errno
import os
import signal
import time
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import NoReturn

import pytest

from vatrack.common.locks import locked, patience, try_locked


def hold(path: Path, ready: Path) -> None:
    with path.open("a") as file, locked(file):
        ready.touch()
        time.sleep(600)


def holder(folder: Path) -> ForkProcess:
    process = get_context("fork").Process(target=hold, args=(folder / "lock", folder / "ready"))
    process.start()
    while not (folder / "ready").exists():
        assert process.is_alive(), "it ended before"
        time.sleep(0.01)
    return process


def free(path: Path) -> bool:
    with path.open("a") as file, try_locked(file) as mine:
        return mine


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = holder(tmp_path)
    waited = 0

    def meanwhile() -> None:
        nonlocal waited
        waited += 1
        if waited == 3:
            os.kill(other.pid or 0, signal.SIGKILL)
            other.join()

    assert not free(path)
    with path.open("a") as file, locked(file, meanwhile):
        assert waited == 3
        assert not free(path)
    assert free(path)


def test_patience_ends(tmp_path: Path) -> None:
    other = holder(tmp_path)
    path = tmp_path / "lock"
    try:
        with (
            path.open("a") as file,
            pytest.raises(TimeoutError, match=f"{path}: another process has held its lock for 0 s"),
            locked(file, patience(0.3, str(path))),
        ):
            pytest.fail("the lock was not free")
    finally:
        other.kill()
        other.join()
    with path.open("a") as file, locked(file, patience(0.3, str(path))):
        assert not free(path)


def test_waiting_is_ended_by_an_exception(tmp_path: Path) -> None:
    other = holder(tmp_path)

    def meanwhile() -> NoReturn:
        raise TimeoutError

    try:
        with (
            (tmp_path / "lock").open("a") as file,
            pytest.raises(TimeoutError),
            locked(file, meanwhile),
        ):
            pytest.fail("another process has it")
    finally:
        other.kill()
        other.join()


def test_it_is_free_although_a_forked_process_has_the_file_open(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as file:
        with locked(file.fileno()):
            worker = get_context("fork").Process(target=time.sleep, args=(600,))
            worker.start()
        assert free(path)
    worker.kill()
    worker.join()


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("vatrack.common.locks.fcntl.flock", flock)
    with (
        (tmp_path / "lock").open("a") as file,
        locked(file),
        locked(file, lambda: None),
        try_locked(file) as mine,
    ):
        assert mine
