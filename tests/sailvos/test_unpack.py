"""From archives to the raw tree: the same files in any form, nothing outside, nothing twice,
nothing by half."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
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
    stats,
    video,
)
from vatrack.common.errors import InputError
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos import unpack as unpacking
from vatrack.sailvos.archives.output import EXISTED, WRITTEN
from vatrack.sailvos.archives.volumes import Archive
from vatrack.sailvos.unpack import Unpacked, unpack

# The same tree, whatever the archives look like.


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


# Checks come before anything is written.


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
    assert str(caught.value).startswith(f"{volumes[2]}: is missing: {path} does not end with ")
    assert str(caught.value).endswith("; list it, too")
    volumes[2].rename(tmp_path / "hidden")
    with pytest.raises(InputError, match=rf"download it, or {name}\.ab again, too$"):
        do(out, *given[:2])
    assert not out.exists()
    (tmp_path / "hidden").rename(volumes[2])
    do(out, *given)
    assert contents(out) == files


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


# Again, and on.


def test_finished_archives_are_not_read_again(tmp_path: Path, flushed: list[int]) -> None:
    out, summary = tmp_path / "out", tmp_path / "record.json"
    path = pack(tmp_path / "x.tar", video("a"))
    flushed.clear()
    do(out, path, summary=summary)
    assert len(flushed) == 1  # before the archive is noted as finished
    before, noted = stats(out), summary.read_bytes()
    status = path.stat()
    # Reading on would be noticed.
    path.write_bytes(path.read_bytes()[:512] + bytes(status.st_size - 512))
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    line = do(out, path, summary=summary)
    assert "0 files written, 1 archive already complete (noted in " in line
    assert line.endswith("; 1 video folder with 4 frames")
    assert stats(out) == before
    assert summary.read_bytes() == noted


def test_more_archives_later(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = pack(tmp_path / "a.tar", video("a")), pack(tmp_path / "b.zip", video("b"))
    do(out, first)
    assert "4 files written, 1 archive already complete" in do(out, first, second)
    assert contents(out) == video("a") | video("b")


def test_an_archive_that_changed_is_compared(tmp_path: Path) -> None:
    """A repaired one has the sizes of the broken one: raw frames all have the same."""
    out, path = tmp_path / "out", pack(tmp_path / "x.tar", video("a"))
    do(out, path)
    os.utime(path, (1, 1))
    assert "0 files written, 4 files already existed" in do(out, path)
    changed = video("a") | {"a/images/000003.bmp": b"!" * 3000}
    pack(path, changed)
    with pytest.raises(InputError, match=r"000003\.bmp already exists with other content"):
        do(out, path)
    (out / "a/images/000003.bmp").unlink()
    do(out, path)
    assert contents(out) == changed


def test_checksums_that_are_given_later_are_compared(tmp_path: Path) -> None:
    out, path = tmp_path / "out", pack(tmp_path / "x.tar", video("a"))
    do(out, path)
    with pytest.raises(InputError, match="damaged, its SHA-256 is"):
        do(out, ArchiveConfig(path=path, sha256="0" * 64))
    line = do(out, checked(path), summary=tmp_path / "record.json")
    assert "0 files written, 4 files already existed" in line
    (noted,) = json.loads((tmp_path / "record.json").read_text())["archives"]
    assert noted["parts"][0]["sha256"] == checked(path).sha256
    assert "1 archive already complete" in do(out, checked(path))


def test_another_strip_reads_again(tmp_path: Path) -> None:
    out, path = tmp_path / "out", pack(tmp_path / "x.tar", video("sail/a"))
    do(out, path)
    assert "4 files written" in do(out, path, strip=1)
    assert contents(out) == video("a") | video("sail/a")


def test_two_runs_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, paths = tmp_path / "out", [pack(tmp_path / f"{name}.tar", video(name)) for name in "ab"]
    inside, leave = threading.Event(), threading.Event()

    def stay(*_: Any) -> None:
        inside.set()
        leave.wait(60)

    monkeypatch.setattr(unpacking, "_check_space", stay)
    first = threading.Thread(target=do, args=(out, paths[0]), daemon=True)
    first.start()
    try:
        assert inside.wait(60)
        with pytest.raises(InputError, match="another run is unpacking there; wait until it ends"):
            do(out, paths[1])
    finally:
        leave.set()
        first.join()
    do(out, *paths)
    assert contents(out) == video("a") | video("b")


def test_what_is_kept_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    out, path = tmp_path / "out", pack(tmp_path / "x.tar", video("a"))

    def at_once(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_check_space", at_once)
        with pytest.raises(KeyboardInterrupt):
            do(out, path)
    assert (caplog.messages, out.exists()) == ([], False)  # nothing is, and nothing is said

    def interrupted(_: object) -> Any:
        while len(stats(out)) < 4:
            time.sleep(0.001)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "as_completed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            do(out, path)
    kept = f"stopped; unpacked files are kept in {out}, run the same command again to resume"
    assert caplog.messages == [kept]
    assert "0 files written, 4 files already existed" in do(out, path)


# Slowed down, so that a busy machine does not let it end before it is killed.
KILLED = """
import os
import sys
import time
from pathlib import Path
set_times = os.utime
def slowly(*arguments, **named):
    time.sleep(0.003)
    set_times(*arguments, **named)
os.utime = slowly
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos.unpack import unpack
out, *archives = map(Path, sys.argv[1:])
unpack([ArchiveConfig(path=path) for path in archives], out, workers=2)
"""


def kill_after(out: Path, files: int, archives: Sequence[Path]) -> None:
    """Unpacks in a process of its own and kills it once so many more files are there."""
    start = len(stats(out))
    with subprocess.Popen([sys.executable, "-c", KILLED, str(out), *map(str, archives)]) as process:
        while process.poll() is None and len(stats(out)) - start < files:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    files = {name: video(name, 700, 2000) for name in "abc"}
    archives = [
        pack(tmp_path / f"x.{suffix}", files[name])
        for name, suffix in zip("abc", ("tar", "tar.gz", "zip"), strict=True)
    ]
    expected = files["a"] | files["b"] | files["c"]
    out = tmp_path / "out"
    out.mkdir()
    chance = random.Random(3)
    for _ in range(3):
        before = stats(out)
        kill_after(out, chance.randint(1, 300), archives)
        after = stats(out)
        assert len(before) < len(after) < len(expected)
        assert before.items() <= after.items()
        assert all((out / name).read_bytes() == expected[name] for name in after)  # whole
    before = stats(out)
    line = do(out, *archives, workers=2)
    assert f": {len(expected) - len(before)} files written" in line
    assert before.items() <= stats(out).items()
    undisturbed = tmp_path / "undisturbed"
    do(undisturbed, *archives)
    assert contents(out) == contents(undisturbed) == expected
    times = [{name: at[1] for name, at in stats(folder).items()} for folder in (out, undisturbed)]
    assert times[0] == times[1]


# Disks that are too small.


@pytest.mark.parametrize("form", ["x.tar", "x.zip"])  # a zip is smaller than what is in it
def test_too_little_space_is_known_beforehand(small_disk: Path, tmp_path: Path, form: str) -> None:
    path = pack(tmp_path / form, {f"a/{number}": bytes(10_000) for number in range(150)})
    told = r"the archives need \d+ bytes \(.* GB\) there, but only \d+ \(0\.0 GB\) are free;"
    with pytest.raises(InputError, match=told):
        do(small_disk / "out", path)
    assert not (small_disk / "out").exists()


def test_what_is_unpacked_already_needs_no_space(small_disk: Path, tmp_path: Path) -> None:
    files = {f"a/{number}": random.Random(number).randbytes(40_000) for number in range(20)}
    path = pack(tmp_path / "x.tar", files)
    out, ballast = small_disk / "out", small_disk / "ballast"
    do(out, path)
    (out / NOTES).unlink()  # as if it had been killed
    (out / "a" / "7").unlink()
    ballast.write_bytes(bytes(90_000))
    assert "1 file written, 19 files already existed" in do(out, path)


def test_a_full_disk(small_disk: Path, tmp_path: Path, vatrack_command: Any) -> None:
    """Of a compressed tar, nobody knows beforehand how large it gets."""
    files = {f"a/images/{number:06d}.bmp": bytes([number]) * 30_000 for number in range(50)}
    path, out = pack(tmp_path / "x.tar.gz", files), small_disk / "out"
    code, _, errors = vatrack_command("unpack", "--archive", path, "--out", out)
    assert code == 1
    assert f"No space left on device: '{out}/a/images/0000" in errors
    assert "; free disk space" in errors
    before = stats(out)
    assert 20 < len(before) < 50
    assert all((out / name).read_bytes() == files[name] for name in before)
    assert [path.name for path in out.iterdir()] == ["a"]
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert f"{50 - len(before)} files written, {len(before)} files already existed" in do(out, path)
    assert contents(out) == files
    assert before.items() <= stats(out).items()


@pytest.mark.parametrize(
    ("inodes", "named"),
    [
        *[(6, "a/images/000000.bmp"), (7, "a/images/000000.bmp"), (8, "a/images/000001.bmp")],
        *[(10, "a/images/000003.bmp"), (11, NOTES)],
    ],
)
def test_a_disk_without_room_for_another_file(
    small_disk: Path, tmp_path: Path, inodes: int, named: str
) -> None:
    """What is named is not the unfinished file, also where a folder or the notes cannot be
    made."""
    path, out = pack(tmp_path / "x.tar", video("a")), small_disk / "out"
    subprocess.run(["mount", "-o", f"remount,nr_inodes={inodes}", str(small_disk)], check=True)
    with pytest.raises(OSError, match="No space left on device") as caught:
        do(out, path)
    assert caught.value.filename == str(out / named)


# The command, and how it shows that it goes on.


@pytest.fixture
def vatrack_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    from tests.cli.test_cli import run

    return lambda *arguments: run(capsys, monkeypatch, *arguments)


def write_config(path: Path, dataset: Mapping[str, object]) -> Path:
    path.write_text(json.dumps({"dataset": dataset}))
    return path


def test_the_command(tmp_path: Path, vatrack_command: Any) -> None:
    archives = [pack(tmp_path / f"{name}.tar", video(f"top/{name}")) for name in "ab"]
    options = [option for path in archives for option in ("--archive", path)]
    sums = tmp_path / "sums"
    subprocess.run(["sha256sum", "a.tar", "b.tar"], cwd=tmp_path, stdout=sums.open("w"), check=True)
    out = tmp_path / "out"
    command = ("unpack", *options, "--checksums", sums, "--out", out, "--strip", 1)
    code, shown, errors = vatrack_command(*command, "--workers", 2)
    assert (code, errors) == (0, "")
    told = f"unpacked 2 archives into {out}: 8 files written; 2 video folders with 8 frames\n"
    assert shown == told
    assert contents(out) == video("a") | video("b")
    sums.write_text(f"{'0' * 64}  a.tar\n{'0' * 64}  b.tar\n")
    code, _, errors = vatrack_command(*command)
    assert code == 2
    assert errors.count("\n") == 1
    assert "SHA-256" in errors


def test_the_command_with_a_config(tmp_path: Path, vatrack_command: Any) -> None:
    path, raw = pack(tmp_path / "x.tar", video("top/a")), tmp_path / "raw"
    archives = [checked(path).model_dump(mode="json")]
    config = write_config(
        tmp_path / "config.yaml", {"archives": archives, "archive_strip": 1, "raw": str(raw)}
    )
    summary = tmp_path / "record.json"
    code, shown, errors = vatrack_command("unpack", "--config", config, "--record", summary)
    assert (code, errors) == (0, "")
    assert shown.endswith("1 video folder with 4 frames\n")
    assert contents(raw) == video("a")
    assert json.loads(summary.read_text())["videos"] == 1
    code, _, _ = vatrack_command(
        "unpack", "--config", config, "--out", tmp_path / "other", "--strip", 0
    )
    assert (code, contents(tmp_path / "other")) == (0, video("top/a"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--out", "x"], "Missing: --archive (or --config)"),
        (["--out", "x", "--set", "seed=1"], "no archive given"),
        (["--archive", "none.tar"], "Missing: --out (or --config)"),
        (["--archive", "none.tar", "--set", "seed=1"], "no output folder; give --out"),
        (["--archive", "none.tar", "--out", "x"], "none.tar: no such file"),
        (["--checksums", "sums", "--out", "x", "--set", "seed=1"], "--checksums needs --archive"),
    ],
)
def test_bad_options(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vatrack_command: Any,
    options: Any,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = vatrack_command("unpack", *options)
    assert code == 2
    assert complaint in errors
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of checksums and unpacking, of all archives together."""
    totals: list[int] = []
    counts: list[int] = []

    def noted(_: str, total: int) -> Any:
        totals.append(total)
        return nullcontext(counts.append)

    monkeypatch.setattr(unpacking, "byte_progress", noted)
    tar = pack(tmp_path / "x.tar", video("a", 30))
    packed = pack(tmp_path / "y.tar.gz", video("b", 30))
    do(tmp_path / "out", checked(tar), packed, workers=2)
    assert totals == [2 * (tar.stat().st_size + packed.stat().st_size)] == [sum(counts)]


def test_python_gets_numbers(tmp_path: Path) -> None:
    out, first = tmp_path / "out", pack(tmp_path / "a.tar", video("a"))
    do(out, first)
    second = pack(tmp_path / "b.zip", video("b", 3) | {"a/images/000000.bmp": bytes(3000)})
    assert unpack(given_as(first, second), out) == Unpacked(
        out, 2, 1, {WRITTEN: 3, EXISTED: 1}, out / NOTES, videos=2, frames=7
    )
