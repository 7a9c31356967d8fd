"""Folders that are replaced, and scratch folders."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest

from vatrack.common.files import check_target
from vatrack.common.output_folders import (
    atomic_directory,
    remove_replaced,
    scratch_directory,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_replaces_the_old_one_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with atomic_directory(path) as temporary:
        (temporary / "a").write_text("1")
        assert not path.exists()
    with atomic_directory(path) as temporary:
        (temporary / "b").write_text("2")
    assert names(path) == ["b"]

    def fail() -> None:
        with atomic_directory(path) as temporary:
            (temporary / "c").write_text("3")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(path) == ["b"]
    assert names(tmp_path) == ["folder"]


def test_only_what_was_replaced_is_removed(tmp_path: Path) -> None:
    """Not what is left of another folder whose name begins alike."""
    path = tmp_path / ("x" * 41)
    prefix = f".{'x' * 40}.old."
    for left in (f"{prefix}abcd_123/{path.name}/a", f"{prefix}01234567/{'x' * 42}", f"{prefix}b/c"):
        (tmp_path / left).mkdir(parents=True)
    (tmp_path / f"{prefix}aaaaaaaa").mkdir()  # killed before anything was in it
    remove_replaced(path)
    assert len(names(tmp_path)) == 4  # one of them may be the last whole one
    path.mkdir()
    remove_replaced(path)
    assert names(tmp_path) == [f"{prefix}01234567", f"{prefix}b", path.name]


@pytest.mark.parametrize("read_only", ["parent", "parent/folder"])
def test_a_folder_that_is_replaced_needs_the_one_that_it_is_in(
    read_only: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, link = tmp_path / "parent" / "folder", tmp_path / "link"
    folder.mkdir(parents=True)
    link.symlink_to(folder)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / read_only)
    for given in (folder, link):
        with pytest.raises(PermissionError, match=str(folder)), atomic_directory(given):
            pytest.fail("the folder cannot be replaced")
        if read_only == "parent":  # what is only written in needs its own right
            assert check_target(given, folder=True) == given
        else:
            with pytest.raises(PermissionError, match=str(folder)):
                check_target(given, folder=True)
    assert names(folder.parent) == ["folder"]


def test_a_scratch_folder_is_hidden_and_goes_away(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out"
    with scratch_directory(target) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
        assert folder.is_relative_to(target.parent)
        assert all(name.startswith(".out.") for name in names(target.parent))
    assert names(target.parent) == []

    def fail() -> None:
        with scratch_directory(target) as folder:
            (folder / "file").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(target.parent) == []


def leave_scratch(target: Path) -> None:
    """What a process that is killed leaves."""
    process = os.fork()
    if not process:
        with scratch_directory(target) as folder:
            (folder / "file").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def test_a_scratch_folder_of_a_killed_process_is_removed_by_the_next(tmp_path: Path) -> None:
    target, other = tmp_path / "out", tmp_path / "out.json"
    # None of these is one.
    (tmp_path / ".out.scratch.mine").mkdir()
    (tmp_path / ".out.scratch.mine" / "file").write_text("x")
    (tmp_path / ".out.scratch.file").write_text("x")
    (tmp_path / ".out.notes").mkdir()
    foreign = names(tmp_path)
    leave_scratch(other)
    before = names(tmp_path)
    assert len(before) == len(foreign) + 1
    for _ in range(3):
        leave_scratch(target)
        assert len(names(tmp_path)) == len(before) + 1
    with scratch_directory(target) as folder:
        assert len(names(tmp_path)) == len(before) + 1
        # Someone else's work goes on undisturbed.
        (folder / "file").write_text("x")
        with scratch_directory(target):
            assert len(names(tmp_path)) == len(before) + 2
        assert (folder / "file").read_text() == "x"
    assert names(tmp_path) == before
    with scratch_directory(other):
        pass
    assert names(tmp_path) == foreign


def test_a_scratch_folder_works_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    leave_scratch(tmp_path / "out")
    left = names(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refuse)
    with scratch_directory(tmp_path / "out") as folder:
        (folder / "file").write_text("x")
        assert len(names(tmp_path)) == 2
    assert names(tmp_path) == left
