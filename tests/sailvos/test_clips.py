"""The tree of clips in its four modes, and what it refuses."""

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

from tests.sailvos.official import write_raw
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.frame_folders import require_frames
from vatrack.common.images import read_image, write_image
from vatrack.sailvos import clips as building
from vatrack.sailvos.clips import build_clip_tree
from vatrack.sailvos.resumed_tree import NOTE
from vatrack.sailvos.structure import left_overs, source_video, usable_clips


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_raw(tmp_path / "raw", {"train": {"a": 6, "b": 2}})
    clips = {
        "a__3": ["000003.bmp", "000004.bmp"],
        "a__5": ["000005.bmp"],
        "b__1": ["000003.bmp", "000004.bmp"],
    }
    write_json(tmp_path / "structure.json", clips)
    return tmp_path


def build(tree: Path, mode: str) -> str:
    return str(build_clip_tree(tree / "raw", tree / "structure.json", tree / "clips", mode))


def listing(folder: Path) -> list[str]:
    """The files of a tree, without the note of what they are made from."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert not (folder / "clips").exists() or NOTE in found
    return [name for name in found if name != NOTE]


def pixels(folder: Path) -> dict[str, int]:
    """The colour of each frame of a tree, all of whose pixels are alike."""
    return {name: int(read_image(folder / name)[0, 0, 0]) for name in listing(folder)}


def paint(raw: Path, colour: int) -> None:
    for number, path in enumerate(sorted(raw.rglob("*.bmp"))):
        write_image(path, np.full((8, 12, 3), colour + number, np.uint8))


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy", "png"])
def test_modes(tree: Path, mode: str) -> None:
    before = {path: path.read_bytes() for path in (tree / "raw").rglob("*.bmp")}
    build(tree, mode)
    # A second run replaces the tree.
    build(tree, mode)
    suffix = "png" if mode == "png" else "bmp"
    clips = [
        "a__3/images/000003",
        "a__3/images/000004",
        "a__5/images/000005",
        "b__1/images/000003",
        "b__1/images/000004",
    ]
    assert listing(tree / "clips") == [f"{name}.{suffix}" for name in clips]
    for name in clips:
        path = tree / "clips" / f"{name}.{suffix}"
        source = tree / "raw" / source_video(name.split("/")[0]) / "images" / f"{name[-6:]}.bmp"
        assert np.array_equal(read_image(path), read_image(source))
        assert path.is_symlink() == (mode == "symlink")
        assert (path.stat().st_ino == source.stat().st_ino) == (mode in ("hardlink", "symlink"))
    assert {path: path.read_bytes() for path in (tree / "raw").rglob("*.bmp")} == before


def other_file_system(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_copies_where_links_are_impossible(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "link", other_file_system)
    assert build(tree, "hardlink").endswith("5 copies")
    (said,) = caplog.messages
    assert said.startswith("hard links are not possible here: copying frames instead; ")
    assert len(listing(tree / "clips")) == 5


def test_other_failures_of_links_are_failures(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space"):
        build(tree, "hardlink")
    assert not (tree / "clips").exists()


def test_raw_tree_of_links_and_png(tree: Path) -> None:
    """Frames that lie elsewhere are linked themselves, and converted frames are found."""
    frame = tree / "raw" / "a" / "images" / "000003.bmp"
    frame.rename(tree / "elsewhere.bmp")
    frame.symlink_to(tree / "elsewhere.bmp")
    build_clip_tree(tree / "raw", tree / "structure.json", tree / "png" / "a", "png")
    converted = tree / "converted" / "a"
    converted.mkdir(parents=True)
    for clip in ("a__3", "a__5"):
        for path in (tree / "png" / "a" / clip / "images").iterdir():
            (converted / "images").mkdir(exist_ok=True)
            path.rename(converted / "images" / path.name)
    write_json(tree / "a.json", {"a__5": ["000003.bmp", "000005.bmp"]})
    build_clip_tree(tree / "converted", tree / "a.json", tree / "clips", "copy")
    assert listing(tree / "clips") == ["a__5/images/000003.png", "a__5/images/000005.png"]
    build(tree, "hardlink")
    linked = tree / "clips" / "a__3" / "images" / "000003.bmp"
    assert not linked.is_symlink()
    assert linked.stat().st_ino == (tree / "elsewhere.bmp").stat().st_ino


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy", "png"])
def test_broken_frames(tree: Path, mode: str) -> None:
    frame = tree / "raw" / "b" / "images" / "000004.bmp"
    frame.write_bytes(frame.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=r"b/images/000004\.bmp: truncated, 341 of 342 bytes; unpack"
    ):
        build(tree, mode)
    frame.unlink()
    with pytest.raises(InputError, match=r"b/images/000004\.bmp: no such frame"):
        build(tree, mode)
    frame.symlink_to(frame.name)
    with pytest.raises(InputError, match=r"b/images/000004\.bmp: is a broken link, but .* lists"):
        build(tree, mode)
    left = [".clips.partial", "raw", "structure.json"]
    assert sorted(path.name for path in tree.iterdir()) == left


@pytest.mark.parametrize("out", ["raw", ".", "raw/.."])
def test_never_in_place_of_the_raw_frames(tree: Path, out: str) -> None:
    with pytest.raises(InputError, match="contains the raw frames"):
        build_clip_tree(tree / "raw", tree / "structure.json", tree / out, "copy")
    assert len(list((tree / "raw").rglob("*.bmp"))) == 8


def test_never_at_a_link_in_a_circle(tree: Path) -> None:
    (tree / "clips").symlink_to("clips")
    with pytest.raises(InputError, match=r"clips: is a broken link; choose another name"):
        build(tree, "copy")


def test_never_in_place_of_other_files(tree: Path) -> None:
    (tree / "clips").mkdir()
    for other in ("thesis.tex", ".env", "a__0/.gitignore", "a__0/notes/images/1.bmp"):
        path = tree / "clips" / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with pytest.raises(InputError, match=f"contains {other}, which would be lost"):
            build(tree, "copy")
        path.unlink()
    for nobodys in (".snakemake_timestamp", "Thumbs.db"):
        (tree / "clips" / nobodys).touch()
    build(tree, "copy")
    with pytest.raises(InputError, match="is a file"):
        build_clip_tree(tree / "raw", tree / "structure.json", tree / "structure.json", "copy")


def test_left_overs_are_no_clips(tree: Path) -> None:
    published = {
        "b__1": ["000004.bmp", "000003.bmp"],
        "a": ["000001.bmp", "000000.bmp"],
        "a__5": [],
        "zzz": [],
    }
    assert usable_clips(published) == {"b__1": ["000003.bmp", "000004.bmp"]}
    assert left_overs(published) == (["a__5", "zzz"], ["a"])
    whole = {"b": ["000004.bmp", "000003.bmp"], "a": []}
    assert usable_clips(whole) == {"b": ["000003.bmp", "000004.bmp"]}
    assert left_overs(whole) == (["a"], [])
    write_json(tree / "structure.json", published)
    summary = build(tree, "hardlink")
    assert summary.endswith("2 hard links; skipped: 2 names without frames, 1 without __")
    assert listing(tree / "clips") == ["b__1/images/000003.bmp", "b__1/images/000004.bmp"]


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("copy", marks=pytest.mark.slow),
        pytest.param("png", marks=pytest.mark.slow),
        "symlink",
    ],
)
def test_processes_make_the_same_tree(tree: Path, mode: str) -> None:
    build(tree, mode)
    content = {name: (tree / "clips" / name).read_bytes() for name in listing(tree / "clips")}
    build_clip_tree(tree / "raw", tree / "structure.json", tree / "other", mode, processes=2)
    assert {
        name: (tree / "other" / name).read_bytes() for name in listing(tree / "other")
    } == content
    frame = tree / "raw" / "a" / "images" / "000005.bmp"
    frame.write_bytes(b"")
    with pytest.raises(InputError, match=r"a/images/000005\.bmp: is empty"):
        build_clip_tree(tree / "raw", tree / "structure.json", tree / "third", mode, processes=2)
    left = [".third.partial", "clips", "other", "raw", "structure.json"]
    assert sorted(path.name for path in tree.iterdir()) == left


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


put_clip = building._put_clip


def stop_before(monkeypatch: pytest.MonkeyPatch, clip: str) -> None:
    def put(job: Any, shared: Any) -> Any:
        if job.clip == clip:
            raise KeyboardInterrupt
        return put_clip(job, shared)

    monkeypatch.setattr(building, "_put_clip", put)


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


def test_what_a_killed_run_left_is_not_used_for_another_tree(tree: Path) -> None:
    arguments = [tree / "raw", tree / "structure.json", tree / "clips"]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments])
    assert ended.returncode == -signal.SIGKILL
    assert (tree / ".clips.partial").is_dir()
    write_json(tree / "structure.json", {"b__1": ["000003.bmp", "000004.bmp"]})
    assert build(tree, "png").endswith("2 converted to PNG")
    assert listing(tree / "clips") == ["b__1/images/000003.png", "b__1/images/000004.png"]
    assert sorted(path.name for path in tree.iterdir()) == ["clips", "raw", "structure.json"]


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


def test_the_note_is_not_named_in_place_of_clips(tree: Path) -> None:
    build(tree, "symlink")
    with pytest.raises(InputError, match=r"expected z__1, found a__3, a__5, b__1; give"):
        require_frames(tree / "clips", ["z__1/images/000003.bmp"], "joint.json")


def test_a_full_disk_leaves_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tree, "symlink")
    before = listing(tree / "clips")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/clips'"):
        build(tree, "png")
    assert listing(tree / "clips") == before
    assert sorted(path.name for path in tree.iterdir()) == ["clips", "raw", "structure.json"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"c__1": ["000003.bmp"]}, r"raw: contains no frames of .*json: expected c, found a, b, "),
        (
            {"a__1": ["000003.bmp"], "c__1": ["000003.bmp"]},
            r"raw/c/images: cannot be listed \(No such file",
        ),
        ({"a__1": ["000003.gif"]}, r"clip a__1: 000003\.gif is not a \.bmp, \.png, .* file"),
        ({"a__1": ["000003.bmp", "000003.png"]}, "clip a__1 lists frame 000003 more than once"),
        ({"a__1": ["../000003.bmp"]}, "is not allowed as the name"),
        ({"/etc__1": ["000003.bmp"]}, "is not allowed as the name"),
    ],
)
def test_bad_dictionaries(tree: Path, given: dict[str, list[str]], message: str) -> None:
    write_json(tree / "structure.json", given)
    with pytest.raises(InputError, match=message):
        build(tree, "png")
    assert sorted(path.name for path in tree.iterdir()) == ["raw", "structure.json"]
