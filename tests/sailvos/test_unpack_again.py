"""Unpacking again, and on after an interruption."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.sailvos.packing import (
    checked,
    contents,
    do,
    pack,
    stats,
    video,
)
from vatrack.common.errors import InputError
from vatrack.config.dataset import ArchiveConfig
from vatrack.sailvos import unpack as unpacking


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
