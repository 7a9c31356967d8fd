"""Locks between processes."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import NoReturn

import pytest

from tests.waiting import wait_until
from vatrack.common.errors import InputError
from vatrack.common.locks import filling, locked, only_run, opened_folder, patience, try_locked


def hold(path: Path, ready: Path) -> None:
    with path.open("a") as file, locked(file):
        ready.touch()
        time.sleep(600)


def holder(folder: Path) -> ForkProcess:
    process = get_context("fork").Process(target=hold, args=(folder / "lock", folder / "ready"))
    process.start()
    wait_until((folder / "ready").exists, process=process)
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


def test_one_run_in_a_folder(tmp_path: Path) -> None:
    folder, out = tmp_path / "folder", tmp_path / "out"
    with only_run(folder, out, "unpacking"):
        with (
            pytest.raises(InputError) as caught,
            only_run(folder, out, "unpacking"),
        ):
            pytest.fail("another run has it")
        assert str(caught.value) == f"{out}: another run is unpacking there; wait until it ends"
    # Not one that another run gave its final name while this one waited for the lock.
    with opened_folder(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr("vatrack.common.locks.opened_folder", lambda _: opened_folder(tmp_path))
        with pytest.raises(InputError, match="another run"), only_run(folder, out, "unpacking"):
            pytest.fail("it is another folder")
    with only_run(folder, out, "unpacking"):
        pass


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def fail(*names: str) -> NoReturn:
        with only_run(folder, folder, "unpacking"):
            for name in names:
                (folder / name).touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not folder.exists()
    with pytest.raises(RuntimeError):
        fail("file")
    (folder / "file").unlink()
    with pytest.raises(RuntimeError):
        fail()
    assert folder.exists()  # it was there before


def test_files_of_two_runs_are_moved_one_after_the_other(tmp_path: Path) -> None:
    """Forms and examples of two runs must not be mixed in one folder."""
    from vatrack.data.form_files import move_files
    from vatrack.evaluation.examples import _add_files

    for number, move in enumerate((move_files, _add_files)):
        made, out = tmp_path / f"made_{number}", tmp_path / f"out_{number}"
        for folder in (made, out):
            folder.mkdir()
        (made / "file").touch()
        other = threading.Thread(target=move, args=(made, out))
        with filling(out):
            other.start()
            other.join(0.2)
            assert other.is_alive() and not (out / "file").exists()
        other.join(60)
        assert (out / "file").exists()
