"""However tracking to files ends, they are whole or not there; and memory does not grow."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from tests.api.tracked import FILES, ROOT, left, no_threads, run, sound_seconds, times
from tests.server import start_command
from tests.video.videos import sample_image, served, write_video
from tests.waiting import wait_until
from vatrack.api.outputs import Outputs
from vatrack.api.predictor import Predictor
from vatrack.common.errors import InputError


def test_a_source_that_ends_early(
    squares: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(logging.getLogger("vatrack"), "propagate", True)
    source = write_video(tmp_path / "v.mp4", 60, front=True)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    tracked = run(squares, source, tmp_path / "out")
    assert tracked.truncated and 0 < tracked.frames < 60
    assert len(times(tmp_path / "out/v/overlay.mp4")) == tracked.frames
    assert not yaml.safe_load((tmp_path / "out/v/run.yaml").read_text())["complete"]
    assert "truncated or damaged" in caplog.text


def test_a_stream_that_breaks_off_and_its_password(
    squares: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(logging.getLogger("vatrack"), "propagate", True)
    data = write_video(tmp_path / "v.mp4", 60, front=True).read_bytes()
    with served(data, len(data) * 2 // 3) as address:
        tracked = run(squares, f"http://user:secret@{address}", tmp_path / "out")
    assert tracked.truncated and 0 < tracked.frames < 60
    written = (tracked.folder / "run.yaml").read_text()
    assert not yaml.safe_load(written)["complete"]
    assert f"http://{address}: broke off" in caplog.text
    assert str(tracked).startswith(f"http://{address}: ")
    files = [path.read_bytes() for path in tracked.folder.iterdir()]
    shown = [caplog.text, repr(tracked), str(tracked), *(str(data) for data in files)]
    assert not any("secret" in text for text in shown)


def test_a_bad_frame_leaves_nothing(squares: Predictor, tmp_path: Path) -> None:
    frames = tmp_path / "v"
    frames.mkdir()
    for number in range(30):
        cv2.imwrite(str(frames / f"{number}.png"), sample_image(number))
    for damage in (sample_image(0, (48, 66)), None):
        path = frames / "25.png"
        if damage is None:
            path.write_bytes(path.read_bytes()[:60])
        else:
            cv2.imwrite(str(path), damage)
        with pytest.raises(InputError, match=r"25\.png"):
            run(squares, frames, tmp_path / "out")
        assert left(tmp_path / "out") == [] and no_threads()


@pytest.mark.parametrize(
    ("after", "number"), [(0, errno.ENOSPC), (3, errno.ENOSPC), (3, errno.EFBIG)]
)
def test_a_full_disk_leaves_nothing(
    squares: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, number: int
) -> None:
    write, calls = Outputs.write, []

    def failing(self: Outputs, item: Any) -> None:
        calls.append(1)
        if len(calls) > after:
            raise OSError(number, os.strerror(number), str(self.folder / "overlay.mp4"))
        write(self, item)

    monkeypatch.setattr(Outputs, "write", failing)
    with pytest.raises(OSError, match=rf"{os.strerror(number)}: '.*out/v'$"):
        run(squares, write_video(tmp_path / "v.mp4", 30), tmp_path / "out")
    assert left(tmp_path / "out") == [] and no_threads()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_the_middle_leaves_whole_files(
    squares: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Here at a certain frame; below from outside, at any moment."""
    write, before = Outputs.write, signal.getsignal(number)

    def stopping(self: Outputs, item: Any) -> None:
        write(self, item)
        if item.frame.index == 10:
            signal.raise_signal(number)
            time.sleep(0.05)

    ended: list[int] = []
    monkeypatch.setattr(Outputs, "write", stopping)
    handler = signal.signal(number, lambda *_: ended.append(1))
    monkeypatch.setattr("vatrack.api.track.StopSignals.obey", lambda *_: ended.append(2))
    try:
        source = write_video(tmp_path / "v.mp4", 500, sound=True)
        tracked = run(squares, source, tmp_path / "out")
    finally:
        signal.signal(number, handler)
    assert ended == [2] and signal.getsignal(number) is before
    assert tracked.stopped and 10 < tracked.frames < 100
    overlay = tmp_path / "out/v/overlay.mp4"
    assert len(times(overlay)) == tracked.frames
    assert sound_seconds(overlay) <= tracked.frames / 25 + 0.2
    assert len((tmp_path / "out/v/predictions.jsonl").read_text().splitlines()) == tracked.frames
    assert left(tmp_path / "out") == ["v"] and no_threads()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_can_be_stopped(
    checkpoint: Path, tmp_path: Path, number: int, code: int
) -> None:
    source, out = write_video(tmp_path / "v.mp4", 500), tmp_path / "out"
    words = ["track", source, "--checkpoint", checkpoint, "--out", out, "--score", 0]
    shown = tmp_path / "shown"
    process = start_command([str(word) for word in words], {}, shown, shown)
    part = ".v.*/predictions.jsonl"
    wait_until(lambda: any(path.stat().st_size for path in out.glob(part)), process=process)
    os.kill(process.pid or 0, number)
    process.join(60)
    errors = shown.read_text()
    assert process.exitcode == code, errors
    told = f"signal {int(number)}: completing the results up to this frame, then this process ends"
    assert told in errors
    assert "stopped; results so far are complete" in errors and "Traceback" not in errors
    assert left(out) == ["v"] and left(out / "v") == FILES
    about = yaml.safe_load((out / "v/run.yaml").read_text())
    assert not about["complete"] and 0 < about["frames"] < 500
    assert len(times(out / "v/overlay.mp4")) == about["frames"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """3,000 frames with 2,000 tracks, after 500 frames in the same process: some 2 kB for each
    more, which caches and the allocator take. With an arena for each thread, the allocator alone
    would take more than that in some runs."""
    videos = [write_video(tmp_path / f"v{count}.mp4", count) for count in (500, 3_000)]
    allocator = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    shown = subprocess.run(
        [sys.executable, "-m", "tests.api.stub", tmp_path / "out", *videos],
        cwd=ROOT, env=os.environ | allocator, check=True, capture_output=True, text=True,
    )  # fmt: skip
    before, after = map(int, shown.stdout.split())
    assert len((tmp_path / "out/v3000/tracks.csv").read_text().splitlines()) > 950
    assert after - before < 5.3e6
