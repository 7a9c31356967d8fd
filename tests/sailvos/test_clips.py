"""The tree of clips in its four modes, and what it refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from tests.sailvos.clip_trees import (
    build,
    listing,
    other_file_system,
)
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.frame_folders import require_frames
from vatrack.common.images import read_image
from vatrack.sailvos.clips import build_clip_tree
from vatrack.sailvos.structure import left_overs, source_video, usable_clips


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
