"""The tree of clips in its four modes, and what it refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from tests.data.official import write_raw
from vatrack.data.clips import build_clip_tree, source_video
from vatrack.data.sailvos import read_image
from vatrack.errors import InputError
from vatrack.files import write_json


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_raw(tmp_path / "raw", {"train": {"a": 6, "b": 2}})
    clips = {"a__3": ["000003.bmp", "000004.bmp"], "a__5": ["000005.bmp"], "b": ["000003.bmp", "000004.bmp"]}
    write_json(tmp_path / "structure.json", clips)
    return tmp_path


def build(tree: Path, mode: str) -> str:
    return build_clip_tree(tree / "raw", tree / "structure.json", tree / "clips", mode)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy", "png"])
def test_modes(tree: Path, mode: str) -> None:
    before = {path: path.read_bytes() for path in (tree / "raw").rglob("*.bmp")}
    build(tree, mode)
    # A second run replaces the tree.
    build(tree, mode)
    suffix = "png" if mode == "png" else "bmp"
    clips = ["a__3/images/000003", "a__3/images/000004", "a__5/images/000005", "b/images/000003", "b/images/000004"]
    assert listing(tree / "clips") == [f"{name}.{suffix}" for name in clips]
    for name in clips:
        path = tree / "clips" / f"{name}.{suffix}"
        source = tree / "raw" / source_video(name.split("/")[0]) / "images" / f"{name[-6:]}.bmp"
        assert np.array_equal(read_image(path), read_image(source))
        assert path.is_symlink() == (mode == "symlink")
        assert (path.stat().st_ino == source.stat().st_ino) == (mode in ("hardlink", "symlink"))
    assert {path: path.read_bytes() for path in (tree / "raw").rglob("*.bmp")} == before


def test_copies_where_links_are_impossible(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_file_system(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_file_system)
    assert build(tree, "hardlink").endswith("5 copies")
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
    with pytest.raises(InputError, match=r"b/images/000004\.bmp: cut off"):
        build(tree, mode)
    frame.unlink()
    with pytest.raises(InputError, match=r"b/images/000004\.bmp: no such frame"):
        build(tree, mode)
    assert sorted(path.name for path in tree.iterdir()) == ["raw", "structure.json"]


@pytest.mark.parametrize("out", ["raw", ".", "raw/.."])
def test_never_in_place_of_the_raw_frames(tree: Path, out: str) -> None:
    with pytest.raises(InputError, match="holds the raw frames"):
        build_clip_tree(tree / "raw", tree / "structure.json", tree / out, "copy")
    assert len(list((tree / "raw").rglob("*.bmp"))) == 8


def test_never_in_place_of_other_files(tree: Path) -> None:
    (tree / "clips").mkdir()
    (tree / "clips" / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"holds thesis\.tex, which is no clip"):
        build(tree, "copy")
    with pytest.raises(InputError, match="is a file"):
        build_clip_tree(tree / "raw", tree / "structure.json", tree / "structure.json", "copy")
