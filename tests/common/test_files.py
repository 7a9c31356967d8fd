from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from vatrack.common import permissions
from vatrack.common.errors import InputError
from vatrack.common.files import atomic_path, check_target, create_text, write_json, write_text
from vatrack.common.output_folders import atomic_directory, scratch_directory
from vatrack.common.paths import real, same_file
from vatrack.common.text_files import open_text
from vatrack.common.value_files import read_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_targets_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("file/a.json", "part of this path is a file"),
        ("folder", "folder, not a file; choose another name for the output$"),
    ):
        with pytest.raises(InputError, match=message):
            write_text(tmp_path / name, "x")
    with (
        pytest.raises(InputError, match="is a file, not a folder"),
        atomic_directory(tmp_path / "file"),
    ):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.tar.gz"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith(".tar.gz")  # for writers that look at the suffix
        temporary.write_text("content")
        assert not path.exists()
    assert path.read_text() == "content"
    assert names(path.parent) == ["file.tar.gz"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "x")
        with atomic_directory(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


@pytest.mark.parametrize("mask", [0o022, 0o027, 0])
def test_the_umask_is_asked_for_without_being_changed(
    mask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(mask)
    try:
        with monkeypatch.context() as patch:
            patch.delattr(os, "umask")
            write_json(tmp_path / "a.json", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("status", [None, "Name:\tpython\nState:\tR"])
def test_permissions_are_usual_where_the_system_does_not_tell_the_umask(
    status: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if status is not None:
        (tmp_path / "status").write_text(status)
    monkeypatch.setattr(permissions, "_STATUS", tmp_path / "status")
    (tmp_path / "usual").touch()
    write_json(tmp_path / "a.json", 1)
    usual, own = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "a.json"))
    assert own == usual


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    link, folder = tmp_path / "link.json", tmp_path / "folder"
    link.symlink_to("files/target.json")
    for value in (1, 2):  # the target is missing at first
        write_json(link, value)
        assert link.is_symlink() and read_json(tmp_path / "files" / "target.json") == value
    folder.symlink_to("files")
    with atomic_directory(folder) as temporary:
        (temporary / "new").write_text("whole")
    assert folder.is_symlink()
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["new"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("target", ["nowhere/target", "link"])
def test_nothing_is_written_through_a_broken_link(target: str, tmp_path: Path) -> None:
    """Only a link to what is missing in a folder that is there leads to a new file."""
    link = tmp_path / "link"
    link.symlink_to(target)
    for path in (link / "a.json", link / "new" / "a.json"):
        with pytest.raises(InputError, match=r"part of this path is a file or a broken link, not"):
            write_text(path, "x")
    assert link.is_symlink() and names(tmp_path) == ["link"]


def test_links_in_a_circle_are_no_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, target in (("itself", "itself"), ("one", "other"), ("other", "one")):
        Path(name).symlink_to(target)
    for path in (Path("itself"), Path("one").absolute()):
        for folder in (False, True):
            with pytest.raises(InputError, match=f"^{path}: is a broken link; choose another"):
                check_target(path, folder=folder)
        assert real(path).is_absolute()
    assert same_file("itself", tmp_path / "itself") and not same_file("itself", "one")


def test_devices_and_pipes_are_refused(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link, Path("/dev/null"), Path("/dev/stdout"), Path("/proc/self/fd/1")):
        before = os.lstat(path)
        with pytest.raises(InputError, match=f"{path}: is a device or pipe.*choose a file"):
            check_target(path)
        assert os.lstat(path).st_mode == before.st_mode
    assert pipe.is_fifo() and link.is_symlink()


@pytest.mark.parametrize("name", ["x.json", "x.json.gz"])
def test_json_comes_back(tmp_path: Path, name: str) -> None:
    value = {"numbers": [1, 2.5, None], "text": "ü"}
    write_json(tmp_path / name, value)
    assert read_json(tmp_path / name) == value
    first = (tmp_path / name).read_bytes()
    assert (first[:2] == b"\x1f\x8b") == name.endswith(".gz")
    write_json(tmp_path / name, value)
    assert (tmp_path / name).read_bytes() == first  # no time stamp inside
    assert names(tmp_path) == [name]


def test_values_that_are_not_json_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert names(tmp_path) == []


def test_gzip_lines(tmp_path: Path) -> None:
    with create_text(tmp_path / "x.jsonl.gz") as stream:
        stream.write("one\ntwo\n")
    with open_text(tmp_path / "x.jsonl.gz") as stream:
        assert list(stream) == ["one\n", "two\n"]


def test_broken_json_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for content, told in (
        (b'{"a": [1, 2', r"x\.json: not valid JSON at line 1, column .* may be truncated"),
        (b"[1,\n \xff]", "cannot be read: line 2 is not UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=told):
            read_json(path)


def test_a_gzip_file_that_is_cut_off_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "x.json.gz"
    whole = gzip.compress(json.dumps(list(range(1000))).encode())
    for length in (0, 5, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"x\.json\.gz"):
            read_json(path)


@pytest.mark.parametrize("name", ["x.json", "x.json.gz"])
def test_a_full_disk_is_named_and_leaves_nothing(small_disk: Path, name: str) -> None:
    text = os.urandom(2 << 20).hex()
    for write in (write_json, write_text):
        with pytest.raises(OSError, match=rf"No space left on device: '.*/{name}'"):
            write(small_disk / name, text)
        assert names(small_disk) == []
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*/folder'"),
        atomic_directory(small_disk / "folder") as folder,
    ):
        (folder / "a").write_text(text)
    assert names(small_disk) == []
    subprocess.run(["mount", "-o", "remount,nr_inodes=1", str(small_disk)], check=True)
    for made in (atomic_path, atomic_directory, scratch_directory):
        # Already the unfinished one cannot be made.
        with (
            pytest.raises(OSError, match=rf"No space left on device: '{small_disk / name}'"),
            made(small_disk / name),
        ):
            pass


def test_a_place_where_no_folder_can_be_created() -> None:
    with pytest.raises(InputError, match=r"/proc/x/y: its folder cannot be created there; choose"):
        check_target("/proc/x/y", folder=True)
