"""From archives to the raw tree: the same files in any form, nothing outside, nothing twice,
nothing by half."""

from __future__ import annotations

import json
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.sailvos.packing import (
    FORMS,
    MTIME,
    NOTES,
    checked,
    contents,
    do,
    given_as,
    pack,
    split,
    video,
)
from vatrack.common.errors import InputError
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos import unpack as unpacking
from vatrack.sailvos.archives.output import EXISTED, WRITTEN
from vatrack.sailvos.archives.volumes import Archive
from vatrack.sailvos.unpack import Unpacked, unpack


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", FORMS)
def test_archives_become_the_raw_tree(tmp_path: Path, name: str, workers: int) -> None:
    whole, stored = video("a") | {"a/visible_objects.npy": b"ids"}, video("c")
    parted = video("b", 40)
    first = pack(tmp_path / name, whole)
    second = pack(tmp_path / f"b{name[1:]}", parted)
    parts = [second]
    if name != "x.zip":
        parts = split(second, [f"{second.name}.part{number}" for number in range(1, 4)])
    third = pack(tmp_path / "c.zip", stored, method=zipfile.ZIP_STORED)
    out, summary = tmp_path / "new" / "raw", tmp_path / "record.json"
    given: list[Any] = [checked(first), *[checked(part) for part in parts], third]
    told = f"unpacked 3 archives into {out}: 49 files written; 3 video folders with 48 frames"
    assert do(out, *given, workers=workers, summary=summary) == told
    assert contents(out) == whole | parted | stored
    assert {path.stat().st_mtime for path in out.rglob("*.bmp")} == {MTIME}
    written = json.loads(summary.read_text())
    assert [(item["name"], item["files"], item["bytes"]) for item in written["archives"]] == [
        (first.name, 5, 12_003),
        (second.name, 40, 120_000),
        ("c.zip", 4, 12_000),
    ]
    listed = [(p["name"], p["size"], p["sha256"]) for p in written["archives"][1]["parts"]]
    assert listed == [(p.path.name, p.size, p.sha256) for p in map(checked, parts)]
    assert written["archives"][2]["parts"][0]["sha256"] is None
    totals = {"files": 49, "bytes": 144_003, "videos": 3, "frames": 48}
    assert {key: written[key] for key in totals} == totals


def test_leading_folders_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {f"./sailvos/frames/{name}": data for name, data in video("a").items()} | {
        "./sailvos/LICENSE": b"text"
    }
    path = pack(tmp_path / "x.tar", files)
    line = do(tmp_path / "out", path, strip=2)
    assert contents(tmp_path / "out") == video("a")
    assert "4 files written, 1 file above the stripped folders skipped; 1 video folder" in line
    assert caplog.messages == []
    with pytest.raises(InputError, match="contains no files below its first 5 folders"):
        do(tmp_path / "other", path, strip=5)


@pytest.mark.parametrize(
    ("top", "strip", "advice"),
    [
        *[("sailvos/frames/", strip, "--strip 2 (dataset.archive_strip)") for strip in (0, 1, 3)],
        *[("", 1, "--strip 0 (dataset.archive_strip)"), ("b/c/d/e/f/", 0, "another --strip")],
    ],
)
def test_a_layout_without_videos_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, top: str, strip: int, advice: str
) -> None:
    (tmp_path / "out/__MACOSX/a/images").mkdir(parents=True)
    path = pack(tmp_path / "x.tar", {f"{top}{name}": data for name, data in video("a").items()})
    line = do(tmp_path / "out", path, strip=strip)
    assert line.endswith("; 0 video folders with 0 frames")
    (told,) = caplog.messages
    assert told.startswith(f"warning: {tmp_path / 'out'}: contains no video folders (folders with")
    assert "; unpack the archives of the frames there, too, or all into a new folder with" in told
    assert told.endswith(f" folder with {advice}")


@pytest.mark.parametrize("form", ["x.tar", "x.zip"])
def test_clutter_is_skipped(tmp_path: Path, form: str) -> None:
    clutter = ["__MACOSX/a/images/._000000.bmp", ".DS_Store", "a/images/thumbs.db"]
    clutter += ["a/images/._000001.bmp", "a/images/Thumbs.db"]
    path = pack(tmp_path / form, dict.fromkeys(clutter, b"x") | video("a", 3))
    assert do(tmp_path / "out", path).endswith(
        ": 3 files written, 5 files of macOS or Windows (._*, Thumbs.db, …) skipped; 1 video "
        "folder with 3 frames"
    )
    assert contents(tmp_path / "out") == video("a", 3)
    with pytest.raises(InputError, match="contains no files"):
        do(tmp_path / "out", pack(tmp_path / "y.zip", {".DS_Store": b"x"}))


def test_clutter_is_no_frame(tmp_path: Path) -> None:
    """Also where something else unpacked it."""
    from vatrack.common.images import is_frame
    from vatrack.sailvos.clips import _list_frames
    from vatrack.sailvos.layout import list_videos
    from vatrack.validate.findings import Findings
    from vatrack.validate.tree import _check_names, check_tree

    names = ["000000.bmp", "1.PNG", "._000000.bmp", "Thumbs.db", ".DS_Store"]
    assert [name for name in names if is_frame(name)] == names[:2]
    assert not is_frame("__MACOSX/a/images/000000.bmp")
    for folder in ("a", "__MACOSX"):
        (tmp_path / folder / "images").mkdir(parents=True)
        for name in names:
            (tmp_path / folder / "images" / name).write_bytes(b"x")
    assert list_videos(tmp_path) == ["a"]
    assert set(_list_frames(tmp_path / "a" / "images")) == set(names[:2])
    findings = Findings()
    check_tree(tmp_path, [], findings)
    assert [example.item for example in findings.examples["folder-extra"]] == ["a"]
    found = _check_names(Path("images"), names, {}, findings)
    assert [Path(frame.path).name for frame in found] == names[:2]
    assert findings.counts["file-extra"] == 3


def test_sizes_and_checksums_are_compared_first(tmp_path: Path) -> None:
    path, out = pack(tmp_path / "x.tar", video("a")), tmp_path / "out"
    size = path.stat().st_size
    with pytest.raises(
        InputError, match=rf"x\.tar: has {size} bytes instead of 17; download it again"
    ):
        do(out, ArchiveConfig(path=path, size=17))
    with pytest.raises(
        InputError,
        match=rf"x\.tar: damaged, its SHA-256 is [0-9a-f]{{64}} instead of {'0' * 64}; download",
    ):
        do(out, ArchiveConfig(path=path, size=size, sha256="0" * 64))
    assert contents(out) == {}
    parts = split(path, ["x.tar.aa", "x.tar.ab"])
    with pytest.raises(InputError, match=r"x\.tar\.ab: damaged"):
        do(out, checked(parts[0]), ArchiveConfig(path=parts[1], sha256="1" * 64))
    assert not out.exists()
    out.mkdir()
    with pytest.raises(InputError, match="damaged"):
        do(out, ArchiveConfig(path=parts[0], sha256="1" * 64))
    assert list(out.iterdir()) == []  # it was there before


@pytest.mark.parametrize("name", FORMS[1:5])
def test_a_damaged_compressed_tar_is_not_complete(tmp_path: Path, name: str) -> None:
    """Its checksum comes last: it is read twice, so that nothing of a damaged one is unpacked."""
    files = {f"a/{number}": random.Random(number).randbytes(5000) for number in range(20)}
    path, out = pack(tmp_path / name, files), tmp_path / "out"
    whole = checked(path)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:-300] + bytes([data[-300] ^ 4]) + data[-299:])
    with pytest.raises(InputError, match="damaged, its SHA-256 is"):
        do(out, whole)
    assert not out.exists()
    out.mkdir()
    (out / "b").write_bytes(b"mine")
    with pytest.raises(InputError, match="damaged, truncated or"):
        do(out, path)
    assert contents(out) == {"b": b"mine"}
    assert not (out / NOTES).exists()
    path.write_bytes(data)
    do(out, path)
    assert contents(out) == files | {"b": b"mine"}


def test_what_comes_before_the_damage_is_kept(tmp_path: Path) -> None:
    """In a zip, where each member is whole or not by itself."""
    path = pack(tmp_path / "x.zip", video("a", 5), method=zipfile.ZIP_STORED)
    data = path.read_bytes()
    place = data.index(bytes([3]) * 3000)
    path.write_bytes(data[:place] + b"x" + data[place + 1 :])
    with pytest.raises(InputError, match=r"supported in 'a/images/000003\.bmp'"):
        do(tmp_path / "out", path)
    assert contents(tmp_path / "out") == video("a", 3)
    path.write_bytes(data)
    assert "2 files written, 3 files already existed" in do(tmp_path / "out", path)
    assert contents(tmp_path / "out") == video("a", 5)


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("name", FORMS[:5])
def test_without_its_last_volume_nothing_is_unpacked(
    tmp_path: Path, name: str, summed: bool
) -> None:
    """A later step would take the frames of the others for all; which one is missing is told."""
    files = {f"a/images/{n:06d}.bmp": random.Random(n).randbytes(3000) for n in range(40)}
    path, out = pack(tmp_path / name, files), tmp_path / "out"
    volumes = split(path, [f"{name}.{letters}" for letters in ("aa", "ab", "ac")])
    given = [checked(volume) if summed else ArchiveConfig(path=volume) for volume in volumes]
    with pytest.raises(InputError) as caught:
        do(out, *given[:2])
    assert str(caught.value).startswith(f"{volumes[2]}: is not listed: {path} does not end with ")
    assert str(caught.value).endswith("; list it, too")
    volumes[2].rename(tmp_path / "hidden")
    with pytest.raises(
        InputError, match=rf"is missing: .*download it \(or {name}\.ab again\) and list it, too$"
    ):
        do(out, *given[:2])
    assert not out.exists()
    (tmp_path / "hidden").rename(volumes[2])
    do(out, *given)
    assert contents(out) == files


@pytest.mark.parametrize("name", FORMS[:5])
def test_a_first_volume_alone_is_not_unpacked(tmp_path: Path, name: str) -> None:
    """Its checksum does not tell that others are missing."""
    files = {f"a/images/{n:06d}.bmp": random.Random(n).randbytes(3000) for n in range(40)}
    first, _ = split(pack(tmp_path / name, files), [f"{name}.aa", f"{name}.ab"])
    with pytest.raises(InputError, match=r"\.ab: is not listed: .* does not end with .*\.aa, "):
        do(tmp_path / "out", checked(first))
    assert not (tmp_path / "out").exists()


def test_headers_are_not_followed_where_a_checksum_tells_that_a_tar_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be many, far from each other on a slow disk."""
    followed = list[Path]()
    monkeypatch.setattr(unpacking, "check_headers", lambda archive: followed.append(archive.path))
    summed, other = (pack(tmp_path / f"{name}.tar", video(name)) for name in "ab")
    do(tmp_path / "out", checked(summed), other)
    assert followed == [other]


def test_a_failure_stops_the_other_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is what is told, not that the others were stopped."""
    bad = pack(tmp_path / "a.tar", {"../a": b"x"})
    good = [pack(tmp_path / f"{number}.tar", video(f"v{number}")) for number in range(4)]
    work = unpacking._unpack_archive

    def wait_for_the_failure(archive: Archive, tree: Any, advance: Any) -> Any:
        end = time.monotonic() + 60
        while archive.path != bad and time.monotonic() < end:
            advance(0)  # ends this archive, once the other has failed
            time.sleep(0.01)
        return work(archive, tree, advance)

    monkeypatch.setattr(unpacking, "_unpack_archive", wait_for_the_failure)
    with pytest.raises(InputError, match=r"a\.tar: member '\.\./a'"):
        do(tmp_path / "out", *good[:1], bad, *good[1:], workers=2)
    assert contents(tmp_path / "out") == {}


def test_python_gets_numbers(tmp_path: Path) -> None:
    out, first = tmp_path / "out", pack(tmp_path / "a.tar", video("a"))
    do(out, first)
    second = pack(tmp_path / "b.zip", video("b", 3) | {"a/images/000000.bmp": bytes(3000)})
    assert unpack(given_as(first, second), out) == Unpacked(
        out, 2, 1, {WRITTEN: 3, EXISTED: 1}, out / NOTES, videos=2, frames=7
    )
