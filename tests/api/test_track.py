"""Files of a video: whole or not at all, whatever happens."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import vatrack
from tests.api.test_tracks import seen
from tests.video.test_reader import read
from tests.video.videos import turn, write_video
from vatrack.api import track as module
from vatrack.api.predictor import Predictor
from vatrack.api.results import FrameResult
from vatrack.api.track import TrackSettings, track_videos
from vatrack.common.errors import InputError
from vatrack.reporting.video import DrawSettings
from vatrack.video.reader import Selection, VideoFrame

FILES = {"overlay.mp4", "predictions.jsonl", "frames.json", "tracks.csv", "run.yaml"}
LOW = TrackSettings(score=0.02)


def run(
    predictor: Predictor, sources: list[Path], out: Path, settings: TrackSettings = LOW
) -> list[module.Tracked]:
    return list(track_videos(predictor, [str(source) for source in sources], out, settings))


def test_the_files_of_a_video(predictor: Predictor, video: Path, tmp_path: Path) -> None:
    (found,) = run(predictor, [video], tmp_path / "out")
    folder = tmp_path / "out/clip"
    assert found.folder == folder
    assert {file.name for file in folder.iterdir()} == FILES
    frames, _ = read(folder / "overlay.mp4")
    source, _ = read(video)
    assert [frame.time_s for frame in frames] == pytest.approx([frame.time_s for frame in source])
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    expected = [
        item for result in predictor.track(video, score=0.02) for item in result.to_predictions()
    ]
    assert lines == expected
    assert lines
    rows = list(csv.DictReader((folder / "tracks.csv").open()))
    assert {int(row["track_id"]) for row in rows} == {item["track_id"] for item in lines}
    assert sum(int(row["frames"]) for row in rows) == len(lines)
    assert found.tracks.total() == len(rows)
    about = yaml.safe_load((folder / "run.yaml").read_text())
    assert about["frames"] == found.frames == len(source)
    assert about["complete"] is True
    assert about["source"]["codec"] == "h264"
    assert about["settings"]["score"] == 0.02
    assert about["network"]["method"] == "vatrack-2bbox"
    assert str(found).startswith(f"{video}: {len(source)} frames in ")


def test_results_are_exported_with_their_list_of_frames(
    predictor: Predictor, video: Path, tmp_path: Path
) -> None:
    run(predictor, [video], tmp_path)
    folder = tmp_path / "clip"
    out = tmp_path / "r.json"
    found = vatrack.export_predictions(
        folder / "predictions.jsonl", folder / "frames.json", "ytvis", out
    )
    assert found.detections == len((folder / "predictions.jsonl").read_text().splitlines())
    listed = json.loads((folder / "frames.json").read_text())
    assert [image["time_s"] for image in listed["images"]][:3] == [0.0, 0.04, 0.08]


def test_masks_crops_and_no_overlay(predictor: Predictor, video: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(LOW, masks=True, crops=True, overlay=False)
    run(predictor, [video], tmp_path, settings)
    folder = tmp_path / "clip"
    assert {file.name for file in folder.iterdir()} == FILES - {"overlay.mp4"} | {"masks", "crops"}
    result = next(iter(predictor.track(video, score=0.02)))
    for key in ("amodal", "visible"):
        masks = result.masks(key)
        for track, mask in zip(result.track_ids.tolist(), masks, strict=True):
            stored = cv2.imread(str(folder / f"masks/000000_{track:05d}_{key}.png"), -1)
            assert stored is not None
            assert np.array_equal(stored > 0, mask)
    assert any(folder.glob("crops/*/000000.png"))


def test_several_videos_each_get_a_folder(
    predictor: Predictor, video: Path, folder: Path, tmp_path: Path
) -> None:
    found = run(predictor, [video, folder], tmp_path)
    assert [item.folder.name for item in found] == ["clip", folder.parent.name]
    assert all((item.folder / "overlay.mp4").is_file() for item in found)


def test_results_are_kept_unless_they_are_to_be_replaced(
    predictor: Predictor, video: Path, tmp_path: Path
) -> None:
    run(predictor, [video], tmp_path)
    before = (tmp_path / "clip/run.yaml").read_text()
    with pytest.raises(InputError, match=r"clip: has results already; --overwrite replaces them"):
        run(predictor, [video], tmp_path)
    assert (tmp_path / "clip/run.yaml").read_text() == before
    run(predictor, [video], tmp_path, dataclasses.replace(LOW, overwrite=True))
    assert (tmp_path / "clip/run.yaml").read_text() != before
    (tmp_path / "clip/mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds mine\.txt, which is no result of `vatrack track`"):
        run(predictor, [video], tmp_path, dataclasses.replace(LOW, overwrite=True))


def test_a_file_where_the_folder_should_be(
    predictor: Predictor, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(InputError, match=r"is a file, not a folder|part of this path is a file"):
        run(predictor, [video], tmp_path / "out")


def test_a_source_that_fails_leaves_nothing(predictor: Predictor, tmp_path: Path) -> None:
    for number in range(3):
        size = (40, 60) if number < 2 else (40, 62)
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((*size, 3), np.uint8))
    with pytest.raises(InputError, match=r"2\.png: is 62 x 40 pixels"):
        run(predictor, [tmp_path], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_cut_off_video_is_kept_as_far_as_it_goes(predictor: Predictor, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 60, front=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    (found,) = run(predictor, [path], tmp_path / "out")
    assert found.truncated
    assert 0 < found.frames < 60
    assert "of 60 frames could be read" in str(found)
    about = yaml.safe_load((tmp_path / "out/v/run.yaml").read_text())
    assert about["complete"] is False
    assert len(read(tmp_path / "out/v/overlay.mp4")[0]) == found.frames


def test_rotation_times_and_sound_of_a_phone(predictor: Predictor, tmp_path: Path) -> None:
    times = [0.0, 0.05, 0.3, 0.31, 0.9]
    path = write_video(tmp_path / "v.mp4", times, sound=True)
    turn(path, 90)
    run(predictor, [path], tmp_path / "out")
    frames, known = read(tmp_path / "out/v/overlay.mp4")
    assert [round(frame.time_s, 3) for frame in frames] == times
    assert (known.width, known.height) == (48, 64)
    assert known.audio
    cut = dataclasses.replace(LOW, selection=Selection(0.3, 0.8))
    run(predictor, [path], tmp_path / "part", cut)
    frames, known = read(tmp_path / "part/v/overlay.mp4")
    assert [round(frame.time_s, 3) for frame in frames] == [0.0, 0.01]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": 1.5}, "the score threshold is 1.5"),
        ({"classes": ("persn",)}, "no class is called 'persn'; did you mean person"),
        ({"show": True}, "there is no display here"),
    ],
)
def test_settings_that_are_wrong(
    predictor: Predictor,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match=message):
        run(predictor, [video], tmp_path / "out", TrackSettings(**changes))
    assert not (tmp_path / "out/clip").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": ("outlin",)}, "no part of a drawing is called 'outlin'; did you mean outline"),
        ({"line_width": 0}, "the line width is 0 pixels"),
    ],
)
def test_drawings_that_are_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DrawSettings(**changes)


def test_an_error_of_the_writer_is_raised_and_leaves_nothing(
    predictor: Predictor, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vatrack.api.track.VideoWriter.write", fail)
    with pytest.raises(OSError, match="No space left"):
        run(predictor, [video], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


PROGRAM = """
import sys, time
from pathlib import Path
from vatrack.api.predictor import load
from vatrack.api import track
from vatrack.cli import main

follow, flag = track.Predictor.follow, Path(sys.argv[1])
def slowly(self, *arguments, **named):
    for number, item in enumerate(follow(self, *arguments, **named)):
        if number == 4:
            flag.touch()
        if number >= 4:
            time.sleep(0.3)
        yield item
track.Predictor.follow = slowly
sys.argv[1:] = sys.argv[2:]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_stop_the_files_hold_what_was_done(
    checkpoint: Path, video: Path, tmp_path: Path, number: signal.Signals
) -> None:
    flag = tmp_path / "running"
    words = ["track", video, "--checkpoint", checkpoint, "--out", tmp_path / "out", "--score", 0.0]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, flag, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A test that runs in the background may have inherited that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not flag.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (130, 128 + number, -number), output
    assert "stopped; what was done until then is whole" in output
    assert "Traceback" not in output
    folder = tmp_path / "out/clip"
    about = yaml.safe_load((folder / "run.yaml").read_text())
    frames, _ = read(folder / "overlay.mp4")
    assert len(frames) == about["frames"] >= 4
    assert about["complete"] is False
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip"]


class _Stub:
    """A predictor that finds a new object in each frame."""

    def __init__(self, predictor: Predictor) -> None:
        self.run, self.device, self.classes = predictor.run, predictor.device, predictor.classes

    def follow(
        self, frames: Iterable[VideoFrame], **_: object
    ) -> Iterator[tuple[VideoFrame, FrameResult]]:
        for frame in frames:
            yield frame, seen(frame.index, [frame.index], score=0.9)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(predictor: Predictor, tmp_path: Path) -> None:
    """Peak memory of a fresh process with 200 and with 20,000 frames."""
    peaks = []
    for count in (200, 20_000):
        path = write_video(tmp_path / f"v{count}.mp4", count, size=(40, 60))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            stub: Any = _Stub(predictor)
            (found,) = track_videos(stub, [str(path)], tmp_path / "out", TrackSettings())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            os.write(writing, f"{found.frames} {peak}".encode())
            os._exit(0)
        os.waitpid(child, 0)
        frames, peak = map(int, os.read(reading, 100).split())
        os.close(reading)
        os.close(writing)
        assert frames == count
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 60_000  # kilobytes
