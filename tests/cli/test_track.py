"""`vatrack track`: what it takes, and one message with exit code 2 for each bad input."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tests.api.conftest import checkpoint  # noqa: F401
from tests.command import Command
from tests.video.videos import sample_image, write_sound, write_video
from vatrack.api.load import load


@pytest.fixture(scope="module", autouse=True)
def _loaded_once() -> Iterator[None]:
    """Making the network ready takes longer than most of these calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vatrack.api.load.load", cache(load))
        yield


@pytest.fixture
def track(
    vatrack: Command,
    monkeypatch: pytest.MonkeyPatch,
    checkpoint: Path,  # noqa: F811
    tmp_path: Path,
) -> Command:
    logger = logging.getLogger("vatrack")
    monkeypatch.setattr(logger, "level", logger.level)  # --quiet changes it
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        given = list(arguments)
        if "--checkpoint" not in given:
            given += ["--checkpoint", checkpoint]
        if "--out" not in given:
            given += ["--out", tmp_path / "out"]
        return vatrack("track", *given)

    return call


def results(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_video_and_a_folder_of_frames(track: Callable, tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", 3)
    (tmp_path / "frames").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), sample_image(number))
    options = ["--score", 0, "--save-masks", "--save-crops", "--every", 2, "--line-width", 3]
    code, shown, errors = track("v.mp4", "frames", *options, "--draw", "box, trail")
    assert (code, errors) == (0, "")
    assert re.search(r"v\.mp4: 2 frames in .* frames a second", shown)
    assert "tracks: " in shown and f"files: {tmp_path / 'out/v'}" in shown
    about = yaml.safe_load((tmp_path / "out/v/run.yaml").read_text())
    assert about["settings"]["draw"] == {"parts": ["box", "trail"], "line_width": 3}
    assert about["checkpoint"].endswith("best.pt") and about["frames"] == 2
    assert len(results(tmp_path / "out")) == 2
    assert {"masks", "crops", "overlay.mp4"} <= set(results(tmp_path / "out/v"))


def test_a_run_folder_stands_for_its_best_checkpoint(
    track: Callable,
    checkpoint: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    run_folder = tmp_path / "vatrack__resnet18"
    run_folder.mkdir()
    best = run_folder / "best.pt"
    best.write_bytes(checkpoint.read_bytes())
    write_video(tmp_path / "v.mp4")
    outs = [tmp_path / name for name in ("by_file", "by_folder")]
    for given, out in zip((best, run_folder), outs, strict=True):
        assert track("v.mp4", "--checkpoint", given, "--out", out)[0] == 0
    first, second = (out / "v" / "predictions.jsonl" for out in outs)
    assert first.read_bytes() == second.read_bytes()
    kept = yaml.safe_load((outs[1] / "v" / "run.yaml").read_text())
    assert kept["checkpoint"] == str(best)


def test_quiet_says_nothing_but_what_is_odd(track: Callable, tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", 3)
    assert track("v.mp4", "--quiet") == (0, "", "")
    write_video(tmp_path / "deep.mp4", 3, form="yuv420p10le")
    code, shown, errors = track("deep.mp4", "--quiet")
    assert (code, shown) == (0, "") and errors.count("upper 8 bits") == 1


def test_images_without_quotes_around_their_pattern_are_told_to_be_single_videos(
    track: Callable, tmp_path: Path
) -> None:
    for number in range(2):
        (tmp_path / f"folder{number}").mkdir()
        for folder in (tmp_path, tmp_path / f"folder{number}"):
            cv2.imwrite(str(folder / f"{number}.png"), sample_image(number))
    code, _, errors = track("0.png", "./1.png", "--no-overlay")
    assert code == 0
    assert "2 images given, and each is tracked as a video of its own; to track them" in errors
    for videos in (["0.png"], ["*.png"], ["folder0", "folder1"]):
        assert track(*videos, "--no-overlay", "--overwrite")[2] == ""


def test_a_video_that_is_cut_off_is_kept_and_said(track: Callable, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 60, front=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    code, shown, errors = track("v.mp4")
    assert code == 3 and "frames in" in shown
    assert "truncated or damaged; using the 20 of 60 frames" in errors
    assert "overlay.mp4" in results(tmp_path / "out/v")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the files that are named below."""
    folder = tmp_path_factory.mktemp("inputs")
    write_video(folder / "v.mp4", 3)
    write_sound(folder / "song.m4a")
    (folder / "empty").mkdir()
    (folder / "empty.mp4").touch()
    (folder / "notes.mp4").write_text("no video at all\n" * 100)
    (folder / "list.txt").write_text("gone.png\n")
    (folder / "file").touch()
    whole = write_video(folder / "headless.mp4", 30)
    whole.write_bytes(whole.read_bytes()[:2000])
    for name, sizes in (("sizes", [(48, 64), (48, 66)]), ("one", [(1, 1)])):
        (folder / name).mkdir()
        for number, size in enumerate(sizes):
            cv2.imwrite(str(folder / name / f"{number}.png"), np.zeros((*size, 3), np.uint8))
    return folder


BAD = [
    (["none.mp4"], "none.mp4: no such file or folder"),
    (["*.avi"], r"\*.avi: no file matches this pattern"),
    (["empty"], "empty: contains no frames"),
    (["empty.mp4"], "empty.mp4: is empty; copy it again"),
    (["notes.mp4"], "notes.mp4: is "),
    (["song.m4a"], "song.m4a: contains no video, only sound"),
    (["headless.mp4"], "headless.mp4: "),
    (["list.txt"], "list.txt: line 1: gone.png: no such file"),
    (["sizes"], "1.png: is 66 x 48 pixels, the first frame is 64 x 48"),
    (["97"], "camera 97: no /dev/video97; give a file"),
    (["v.mp4", "--checkpoint", "none.pt"], "none.pt"),
    (["v.mp4", "--checkpoint", "notes.mp4"], "notes.mp4"),
    (["v.mp4", "--method", "qdtrack"], "is a checkpoint of method vatrack, not qdtrack"),
    (["v.mp4", "--method", "vatrak"], "did you mean vatrack"),
    (["v.mp4", "--backbone", "resnet50"], "resnet50"),
    (["v.mp4", "--class", "persn"], "unknown class 'persn'; did you mean person"),
    (["v.mp4", "--score", "1.5"], "the score threshold is 1.5"),
    (["v.mp4", "--score", "nan"], "the score threshold is nan"),
    (["v.mp4", "--every", "0"], "the frame step is 0; it must be 1 or more"),
    (["v.mp4", "--from", "-1"], "the start time is -1.0 s; it must be 0 or more"),
    (
        ["v.mp4", "--from", "2", "--to", "1"],
        "the end time, 1.0 s, is not after the start time, 2.0 s",
    ),
    (["v.mp4", "--from", "60"], "v.mp4: no frames between start and end time .it lasts 0.12 s.;"),
    (["v.mp4", "--fps", "0"], "the frame rate is 0.0"),
    (["v.mp4", "--line-width", "0"], "the line width is 0 pixels"),
    (["v.mp4", "--draw", "outlin"], "did you mean outline"),
    (["v.mp4", "--largest-side", "8"], "the largest side is 8 pixels"),
    (["v.mp4", "--out", "file"], "file: is a file, not a folder"),
    (["v.mp4", "--device", "cuda"], "finds no GPU"),
    (["v.mp4", "--device", "cuda:1"], "is cuda:1, but PyTorch finds no GPU"),
    (["v.mp4", "--device", "gpu"], "unknown device 'gpu'; choose from auto, cpu, cuda, cuda:1"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input(
    track: Callable, inputs: Path, tmp_path: Path, arguments: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.chdir(inputs)
    code, shown, errors = track(*arguments)
    assert (code, shown) == (2, ""), errors
    assert errors.startswith("vatrack: error: ") and errors.count("\n") == 1
    assert re.search(message, errors)
    assert results(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "SOURCE"),
        (["v.mp4", "--encoder", "av1"], "--encoder"),
        (["v.mp4", "--cuts", "some"], "--cuts"),
        (["v.mp4", "--every", "two"], "--every"),
        (["v.mp4", "--unknown"], "--unknown"),
    ],
)
def test_usage_errors(track: Callable, arguments: list[str], name: str) -> None:
    code, shown, errors = track(*arguments)
    assert (code, shown) == (2, "") and name in errors


def test_results_are_kept(track: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "v.mp4", 2)
    assert track("v.mp4")[0] == 0
    before = (tmp_path / "out/v/run.yaml").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("vatrack.api.load.load", pytest.fail)  # which takes seconds
        code, _, errors = track("v.mp4")
        assert code == 2 and "already has results; choose another output folder, or" in errors
        (tmp_path / "file").touch()
        code, _, errors = track("v.mp4", "--out", "file/out")
        assert code == 2 and "file/out/v: part of this path is a file" in errors
    assert (tmp_path / "out/v/run.yaml").read_bytes() == before
    assert track("v.mp4", "--overwrite", "--no-overlay")[0] == 0
    assert "overlay.mp4" not in results(tmp_path / "out/v")


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"size": (47, 63), "form": "yuv444p", "codec": "libx264"}, (48, 64)),
        ({"form": "gray"}, (48, 64)),
        ({"form": "yuv420p10le"}, (48, 64)),
    ],
)
def test_odd_videos(track: Callable, tmp_path: Path, settings: dict, size: tuple) -> None:
    write_video(tmp_path / "v.mkv", 3, **settings)
    assert track("v.mkv")[0] == 0
    video = cv2.VideoCapture(str(tmp_path / "out/v/overlay.mp4"))
    assert video.read()[1].shape[:2] == size


def test_a_frame_of_one_pixel(track: Callable, inputs: Path, tmp_path: Path) -> None:
    assert track(inputs / "one", "--score", 0)[0] == 0
    assert "overlay.mp4" in results(tmp_path / "out/one")
