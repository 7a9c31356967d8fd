"""Clips that are built again, or on after an interruption."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sailvos.clip_trees import (
    build,
    listing,
    other_file_system,
    paint,
    pixels,
    put_clip,
    stop_before,
)
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.images import read_image
from vatrack.sailvos import clips as building
from vatrack.sailvos.clips import build_clip_tree
from vatrack.sailvos.resumed_tree import NOTE
from vatrack.sailvos.structure import source_video


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("mode", ["copy", "png"])
def test_a_second_call_takes_over_what_is_there(
    tree: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tree, mode)
    before = {name: (tree / "clips" / name).read_bytes() for name in listing(tree / "clips")}
    # Written again: one frame whose raw file changed, and one that is damaged in the tree.
    changed, damaged = (
        tree / "raw" / "a" / "images" / "000004.bmp",
        tree / "clips" / listing(tree / "clips")[-1],
    )
    changed.write_bytes(changed.read_bytes()[:-1] + b"\xff")
    os.utime(changed, (0, 0))  # archives bring old times along
    damaged.write_bytes(b"")
    summary = build(tree, mode)
    assert "3 kept from an earlier run" in summary
    after = {name: (tree / "clips" / name).read_bytes() for name in listing(tree / "clips")}
    assert [name for name in before if after[name] != before[name]] == [listing(tree / "clips")[1]]
    # Links of other modes are never taken for files of their own.
    build(tree, "hardlink")
    assert "kept" not in build(tree, mode)
    assert all((tree / "clips" / name).stat().st_nlink == 1 for name in after)


@pytest.mark.parametrize("mode", ["copy", "png", "hardlink"])
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("moved", [True, False])
def test_only_frames_of_the_same_raw_files_are_taken_over(
    tree: Path, mode: str, finished: bool, moved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another raw tree has the same names, sizes and older times; another may also be at its
    path."""
    if mode == "hardlink":
        monkeypatch.setattr(os, "link", other_file_system)
    other, gone = tree / "other", tree / "gone"
    shutil.copytree(tree / "raw", other)
    paint(tree / "raw", 10)
    paint(other, 100)
    if finished:
        build(tree, mode)
    else:
        stop_before(monkeypatch, "b__1")
        with pytest.raises(KeyboardInterrupt):
            build(tree, mode)
        monkeypatch.setattr(building, "_put_clip", put_clip)
        assert len(listing(tree / ".clips.partial")) == 3
    if moved:
        (tree / "raw").rename(gone)
        other.rename(tree / "raw")
    raw = tree / "raw" if moved else other
    told = str(build_clip_tree(raw, tree / "structure.json", tree / "clips", mode))
    assert "kept" not in told
    assert [*pixels(tree / "clips").values()] == [100, 101, 102, 106, 107]


@pytest.mark.parametrize("mode", ["copy", "png"])
def test_another_dictionary_takes_over_what_it_shares(tree: Path, mode: str) -> None:
    """Also of a half-made tree, and without folders of clips that it lacks."""
    broken = tree / "raw" / "b" / "images" / "000004.bmp"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(InputError):
        build(tree, mode)
    broken.write_bytes(whole)
    (tree / ".clips.partial" / "a__3" / "images" / ".000003.png").write_bytes(b"half")
    write_json(tree / "structure.json", {"b__1": ["000003.bmp", "000004.bmp"]})
    assert build(tree, mode).endswith(", 1 kept from an earlier run")
    assert build(tree, mode).endswith("clips: 2 kept from an earlier run")
    assert {path.name for path in (tree / "clips").iterdir()} == {NOTE, "b__1"}


@pytest.mark.parametrize("note", ["", "[]", '{"mode": "png"}', '{"mode": "png", "states": [1]}'])
def test_a_tree_with_a_damaged_note_is_made_anew(tree: Path, note: str) -> None:
    build(tree, "png")
    (tree / "clips" / NOTE).write_text(note)
    assert build(tree, "png").endswith("clips: 5 converted to PNG")


def test_a_broken_first_frame_leaves_nothing_to_resume(tree: Path) -> None:
    frame = tree / "raw" / "a" / "images" / "000003.bmp"
    frame.write_bytes(b"")
    with pytest.raises(InputError, match=r"/000003\.bmp: is empty; unpack or copy it again$"):
        build(tree, "png")


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_after_a_broken_frame_the_next_call_resumes(tree: Path, processes: int) -> None:
    """Once the frame is there; what it says is true."""
    frame = tree / "raw" / "b" / "images" / "000004.bmp"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:-1])
    arguments = tree / "raw", tree / "structure.json", tree / "clips", "png", processes
    with pytest.raises(InputError) as caught:
        build_clip_tree(*arguments)
    assert str(caught.value) == (
        f"{frame}: truncated, 341 of 342 bytes; unpack or copy it again; run again to "
        f"resume (finished frames are kept in {tree / '.clips.partial'})"
    )
    frame.write_bytes(whole)
    assert str(build_clip_tree(*arguments)).endswith(
        "1 converted to PNG, 4 kept from an earlier run"
    )
    assert sorted(path.name for path in tree.iterdir()) == ["clips", "raw", "structure.json"]


def test_two_calls_at_a_time(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, leave = threading.Event(), threading.Event()

    def stay(*arguments: Any) -> Any:
        inside.set()
        leave.wait(60)
        return put_clip(*arguments)

    monkeypatch.setattr(building, "_put_clip", stay)
    first = in_thread(lambda: build(tree, "png"))
    try:
        assert inside.wait(60)
        with pytest.raises(InputError) as caught:
            build(tree, "copy")
    finally:
        leave.set()
        first.join()
    told = f"{tree / 'clips'}: another run is building clips there; wait until it ends"
    assert str(caught.value) == told
    assert len(pixels(tree / "clips")) == 5
    assert sorted(path.name for path in tree.iterdir()) == ["clips", "raw", "structure.json"]


def test_what_is_kept_is_said(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop_before(monkeypatch, "a__3")
    with pytest.raises(KeyboardInterrupt):
        build(tree, "png")
    assert caplog.messages == []  # nothing is
    stop_before(monkeypatch, "b__1")
    with pytest.raises(KeyboardInterrupt):
        build(tree, "png")
    kept = f"finished frames are kept in {tree / '.clips.partial'}"
    assert caplog.messages == [f"stopped; {kept}, run the same command again to resume"]
    monkeypatch.setattr(building, "_put_clip", put_clip)
    assert build(tree, "png").endswith("2 converted to PNG, 3 kept from an earlier run")


def test_the_output_may_be_a_link_to_another_place(tree: Path) -> None:
    (tree / "disk").mkdir()
    (tree / "clips").symlink_to("disk/clips")
    for mode in ("png", "copy"):
        build(tree, mode)
        assert (tree / "clips").is_symlink()
        assert [path.name for path in (tree / "disk").iterdir()] == ["clips"]
        assert len(pixels(tree / "disk" / "clips")) == 5


# Kills itself before a folder gets its final name, or the earlier one is removed; the last argument
# says how many folders get a name before.
KILLED_AT_THE_END = """
import os, shutil, signal, sys
from vatrack.sailvos import clips
replace, allowed = os.replace, int(sys.argv.pop())
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def replace_few(source, target):
    global allowed
    if os.path.isdir(source):
        if not allowed:
            kill()
        allowed -= 1
    replace(source, target)
os.replace, shutil.rmtree = replace_few, kill
clips.build_clip_tree(*sys.argv[1:4], "png")
"""


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_killed_at_the_very_end(tree: Path, allowed: int) -> None:
    """Also between the earlier tree's new name and the new tree's, and before the earlier one is
    removed: that one stays as long as it may be the only one."""
    build(tree, "symlink")
    arguments = map(str, (tree / "raw", tree / "structure.json", tree / "clips", allowed))
    ended = subprocess.run([sys.executable, "-c", KILLED_AT_THE_END, *arguments])
    assert ended.returncode == -signal.SIGKILL
    frame = tree / "raw" / "b" / "images" / "000004.bmp"
    status, whole = frame.stat(), frame.read_bytes()
    frame.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="truncated"):
        build(tree, "png")
    assert len(list(tree.glob(".clips.old.*/clips/*/images/*.bmp"))) == (5 if allowed == 1 else 0)
    frame.write_bytes(whole)
    os.utime(frame, ns=(status.st_atime_ns, status.st_mtime_ns))
    kept = "clips: 5 kept" if allowed == 2 else "clips: 1 converted to PNG, 4 kept"
    assert build(tree, "png").endswith(f"{kept} from an earlier run")
    assert len(pixels(tree / "clips")) == 5
    assert sorted(path.name for path in tree.iterdir()) == ["clips", "raw", "structure.json"]


KILLED = """
import os, signal, sys
from vatrack.sailvos import clips
convert, made = clips._convert, []
def convert_two(source, target):
    if len(made) == 2:
        with open(target, "wb") as half:
            half.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    convert(source, target)
    made.append(target)
clips._convert = convert_two
clips.build_clip_tree(*sys.argv[1:4], "png")
"""


def test_a_killed_run_goes_on_where_it_was(tree: Path) -> None:
    arguments = [tree / "raw", tree / "structure.json", tree / "clips"]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments])
    assert ended.returncode == -signal.SIGKILL
    assert not (tree / "clips").exists()
    assert (tree / ".clips.partial").is_dir()
    assert build(tree, "png").endswith("3 converted to PNG, 2 kept from an earlier run")
    assert sorted(path.name for path in tree.iterdir()) == ["clips", "raw", "structure.json"]
    for name in listing(tree / "clips"):
        source = (
            tree / "raw" / source_video(name.split("/")[0]) / "images" / f"{Path(name).stem}.bmp"
        )
        assert np.array_equal(read_image(tree / "clips" / name), read_image(source))


@pytest.mark.parametrize("possible", [True, False])
def test_a_stopped_run_of_links_goes_on(
    tree: Path, possible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where links are impossible and frames are copied: these are kept."""
    link, calls = os.link, []

    def stopped(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        if Path(target).exists():
            raise FileExistsError(errno.EEXIST, "File exists")
        if not possible:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target)

    monkeypatch.setattr(os, "link", stopped)
    with pytest.raises(KeyboardInterrupt):
        build(tree, "hardlink")
    assert not (tree / "clips").exists()
    told = build(tree, "hardlink")
    assert told.endswith(f"3 {'hard links' if possible else 'copies'}, 2 kept from an earlier run")
    assert len(listing(tree / "clips")) == 5


@pytest.mark.parametrize("mode", ["hardlink", "symlink"])
def test_links_to_other_raw_frames_are_made_anew(
    tree: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept are those that point to the frame, at its path."""
    stop_before(monkeypatch, "b__1")
    with pytest.raises(KeyboardInterrupt):
        build(tree, mode)
    stop_before(monkeypatch, "no clip")
    (tree / "raw").rename(tree / "moved")
    other = tree / "moved" / "a" / "images" / "000005.bmp"
    other.rename(tree / "gone.bmp")
    shutil.copy2(tree / "gone.bmp", other)
    told = str(build_clip_tree(tree / "moved", tree / "structure.json", tree / "clips", mode))
    kept = "3 hard links, 2 kept from an earlier run" if mode == "hardlink" else "5 symbolic links"
    assert told.endswith(f": {kept}")
    for name in listing(tree / "clips"):
        source = tree / "moved" / source_video(name.split("/")[0]) / "images" / name[-10:]
        assert (tree / "clips" / name).samefile(source)


def test_a_hard_link_elsewhere_does_not_change_a_raw_frame(tree: Path) -> None:
    build(tree, "png")
    build_clip_tree(tree / "raw", tree / "structure.json", tree / "links", "hardlink")
    assert build(tree, "png").endswith("clips: 5 kept from an earlier run")
