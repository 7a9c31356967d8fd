"""Videos to files: what they hold, and what is never replaced."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import yaml
from pycocotools import mask as coco_mask

from tests.api.tracked import FILES, left, no_threads, run, sound_seconds, times
from tests.evaluation.scenes import add_object
from tests.video.test_sound import packets
from tests.video.videos import sample_image, write_video
from vatrack.api.evaluate import evaluate
from vatrack.api.outputs import Outputs
from vatrack.api.predictor import Predictor
from vatrack.api.settings import Tracked, TrackSettings
from vatrack.api.track import track_videos
from vatrack.common.errors import InputError
from vatrack.evaluation.io.prediction_file import open_predictions
from vatrack.video.frames import Selection
from vatrack.video.reader import Reader
from vatrack.video.sources import find_sources
from vatrack.video.writer import _ENCODERS


def test_a_class_with_a_comma_in_its_name_is_quoted_where_tracks_are_counted() -> None:
    tracks = Counter({"box, big": 4, "post": 1})
    tracked = Tracked("v.mp4", Path("out"), 1, tracks, {"all": 1.0}, (), False, False)
    assert "  tracks: 5 (4 'box, big', 1 post)\n" in str(tracked)


def test_the_files_of_a_video(squares: Predictor, tmp_path: Path) -> None:
    shown = [0.0, 0.04, 0.1, 0.5, 0.52, 0.6, 0.9]
    source, out = write_video(tmp_path / "v.mp4", shown, sound=True), tmp_path / "out"
    tracked = run(squares, source, out, score=0.0)
    folder = out / "v"
    assert left(folder) == FILES and left(out) == ["v"]
    assert times(folder / "overlay.mp4") == shown
    assert sound_seconds(folder / "overlay.mp4") == pytest.approx(0.8, abs=0.2)
    with open_predictions(folder / "predictions.jsonl") as items:
        lines = [item.value for item in items]
    assert [line["frame"] for line in lines] == sorted([*range(7), *range(7)])
    assert sorted({line["time_s"] for line in lines}) == pytest.approx(shown)
    listed = json.loads((folder / "frames.json").read_text())
    assert [image["id"] for image in listed["images"]] == list(range(7))
    assert listed["videos"][0]["num_frames"] == 7 and len(listed["categories"]) == 24
    with (folder / "tracks.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert {row["track_id"] for row in table} == {str(line["track_id"]) for line in lines}
    assert {row["mean_visibility"] for row in table} == {"0.5000"}
    about = yaml.safe_load((folder / "run.yaml").read_text())
    assert (about["frames"], about["complete"]) == (7, True)
    assert about["source"]["codec"] == "h264" and about["network"]["method"] == "vatrack"
    assert (tracked.frames, tracked.truncated, tracked.stopped) == (7, False, False)
    assert tracked.tracks.total() == len(table) == sum(about["tracks"].values())
    assert {"decode", "network", "draw", "encode", "write", "all"} <= tracked.seconds.keys()
    assert "7 frames" in str(tracked) and str(folder) in str(tracked)
    assert no_threads()


def test_own_annotations_with_other_class_ids_are_matched_by_name(
    squares: Predictor, tmp_path: Path
) -> None:
    """As tools for annotating number classes anew, also in frames.json itself."""
    folder = run(squares, write_video(tmp_path / "v.mp4", 6), tmp_path / "out", score=0.0).folder
    truth = json.loads((folder / "frames.json").read_text())
    with open_predictions(folder / "predictions.jsonl") as items:
        for item in items:
            seen = item.value
            masks = (coco_mask.decode(seen[name]) for name in ("amodal", "visible"))
            number = 25 - seen["category_id"]
            add_object(truth, seen["image_id"], number, seen["track_id"] + 1, *masks)
    for category in truth["categories"]:
        category["id"] = 25 - category["id"]
    (folder / "frames.json").write_text(json.dumps(truth))
    found = evaluate(folder / "frames.json", folder)
    assert (found["image/amodal/AP"], found["video/visible/AP"]) == pytest.approx((100, 100))
    truth["categories"][0]["name"] = "unicorn"
    (folder / "frames.json").write_text(json.dumps(truth))
    with pytest.raises(InputError, match=r"(?s)inference\.yaml: 1 of .*'unicorn'"):
        evaluate(folder / "frames.json", folder)


def test_a_part_of_a_video_has_the_sound_of_that_part(squares: Predictor, tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", 100, sound=True)
    run(squares, source, tmp_path / "out", selection=Selection(1.0, 2.0, 5))
    overlay = tmp_path / "out/v/overlay.mp4"
    assert times(overlay) == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert 0.5 < sound_seconds(overlay) <= 1.1
    run(squares, source, tmp_path / "silent", sound=False)
    assert sound_seconds(tmp_path / "silent/v/overlay.mp4") == 0


def test_the_sound_of_joined_recordings(squares: Predictor, tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.ts", 50, container="mpegts", sound=True)
    source.write_bytes(source.read_bytes() * 2)
    tracked = run(squares, source, tmp_path / "out")
    assert times(tracked.folder / "overlay.mp4") == pytest.approx([n / 25 for n in range(100)])
    assert sound_seconds(tracked.folder / "overlay.mp4") == pytest.approx(3.9, abs=0.3)


def test_the_sound_of_a_recording_that_begins_between_key_frames(
    squares: Predictor, tmp_path: Path
) -> None:
    """As one that was cut out of a broadcast: its first frames cannot be decoded."""
    source = write_video(
        tmp_path / "v.ts", 50, container="mpegts", sound=True, options={"g": "25", "bf": "0"}
    )
    with av.open(str(source)) as file:
        begins = [item.pos for item in file.demux(file.streams.video[0]) if item.pos is not None]
    source.write_bytes(source.read_bytes()[begins[10] // 188 * 188 :])
    heard = {data[-40:]: time for time, data in packets(source)}
    tracked = run(squares, source, tmp_path / "out")
    assert tracked.frames == 25
    with Reader(find_sources([str(source)])[0]) as reader:
        ((_, zero_s),) = reader.properties.parts
    copied = packets(tracked.folder / "overlay.mp4")
    assert len(copied) > 5
    assert [time for time, _ in copied] == pytest.approx(
        [heard[data[-40:]] - zero_s for _, data in copied], abs=0.01
    )


def test_an_overlay_has_the_pixels_of_its_source(squares: Predictor, tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", 2, aspect=Fraction(4, 3))
    tracked = run(squares, source, tmp_path / "out")
    with Reader(find_sources([str(tracked.folder / "overlay.mp4")])[0]) as reader:
        assert reader.properties.pixel_aspect == Fraction(4, 3)
    about = yaml.safe_load((tracked.folder / "run.yaml").read_text())
    assert about["source"]["pixel_aspect"] == pytest.approx(4 / 3)


def test_masks_crops_and_no_overlay(squares: Predictor, tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", 2)
    run(squares, source, tmp_path / "out", overlay=False, masks=True, crops=True)
    folder = tmp_path / "out/v"
    assert left(folder) == sorted([*set(FILES) - {"overlay.mp4"}, "crops", "masks"])
    assert left(folder / "masks") == [
        f"00000{frame}_00000_{name}.png" for frame in (0, 1) for name in ("amodal", "visible")
    ]
    whole, seen = (
        cv2.imread(str(folder / "masks" / f"000000_00000_{name}.png"), cv2.IMREAD_UNCHANGED)
        for name in ("amodal", "visible")
    )
    assert whole.shape == (48, 64) and set(np.unique(whole)) == {0, 255}
    assert np.count_nonzero(whole) == 24 * 32 and np.count_nonzero(seen) == 24 * 16
    crop = cv2.imread(str(folder / "crops/00000/000001.png"))
    assert crop.shape == (24, 32, 3)


def test_results_are_kept_unless_they_may_be_replaced(squares: Predictor, tmp_path: Path) -> None:
    source, out = write_video(tmp_path / "v.mp4", 2), tmp_path / "out"
    run(squares, source, out)
    before = (out / "v/run.yaml").read_bytes()
    with pytest.raises(InputError, match=r"already has results; .* --overwrite \(in Python"):
        run(squares, source, out)
    assert (out / "v/run.yaml").read_bytes() == before
    run(squares, source, out, overwrite=True, overlay=False)
    assert left(out / "v") == [name for name in FILES if name != "overlay.mp4"]
    (out / "v/thesis.tex").touch()
    with pytest.raises(InputError, match=r"thesis\.tex, which would be lost"):
        run(squares, source, out, overwrite=True)
    assert (out / "v/thesis.tex").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_at_once_do_not_replace_each_other(
    squares: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    first = write_video(tmp_path / "v.mp4", 3)
    (tmp_path / "b").mkdir()
    second, out = write_video(tmp_path / "b/v.mp4", 5), tmp_path / "out"
    write, refused = Outputs.write, []

    def writing(self: Outputs, item: Any) -> None:
        if item.frame.index == 1:
            with pytest.raises(InputError, match=r"out/v: another run is tracking there; wait"):
                run(squares, second, out, overwrite=overwrite)
            refused.append(1)
        write(self, item)

    monkeypatch.setattr(Outputs, "write", writing)
    assert run(squares, first, out).frames == 3
    assert refused == [1] and left(out) == ["v"]


def test_results_that_were_made_while_another_video_was_tracked_are_kept(
    squares: Predictor, tmp_path: Path
) -> None:
    first, second = (write_video(tmp_path / f"{name}.mp4", 2) for name in "ab")
    videos = track_videos(squares, [first, second], tmp_path / "out")
    next(videos)
    before = run(squares, second, tmp_path / "out")
    with pytest.raises(InputError, match=r"out/b: already has results"):
        next(videos)
    assert left(before.folder) == FILES and left(tmp_path / "out") == ["a", "b"]


@pytest.mark.parametrize("linked", ["", "file", "folder"])
def test_a_source_is_never_replaced(squares: Predictor, tmp_path: Path, linked: str) -> None:
    folder = tmp_path / "out/overlay"
    folder.mkdir(parents=True)
    source = write_video(folder / "overlay.mp4", 2)
    if linked:
        link = tmp_path / ("overlay.mp4" if linked == "file" else "elsewhere")
        link.symlink_to(source if linked == "file" else folder)
        source = link if linked == "file" else link / source.name
    with pytest.raises(InputError, match="would be overwritten; move it"):
        run(squares, source, tmp_path / "out", overwrite=True)
    assert source.exists()


def test_an_output_folder_that_is_a_file(squares: Predictor, tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", 2)
    out = tmp_path / "out"
    out.write_text("mine")
    with pytest.raises(InputError, match="out: is a file, not a folder"):
        run(squares, source, out)
    assert out.read_text() == "mine"
    with pytest.raises(InputError, match="is a file"):
        run(squares, source, out / "below")


def test_one_bad_video_does_not_keep_the_others(squares: Predictor, tmp_path: Path) -> None:
    first, last = (write_video(tmp_path / f"{name}.mp4", 3) for name in "ac")
    bad = tmp_path / "b.mp4"
    bad.write_bytes(b"no video")
    videos = track_videos(squares, [first, bad, last], tmp_path / "out")
    done = [next(videos).folder.name for _ in range(2)]
    with pytest.raises(InputError, match=r"b\.mp4"):
        next(videos)
    assert done == ["a", "c"] == left(tmp_path / "out")


def test_another_encoder_is_told_by_the_name_of_the_source(
    squares: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(logging.getLogger("vatrack"), "propagate", True)
    monkeypatch.setitem(_ENCODERS, "openh264", "none")
    source = write_video(tmp_path / "v.mp4", 2)
    run(squares, source, tmp_path / "out")
    (told,) = {item.message for item in caplog.records if item.levelno == logging.WARNING}
    assert told.startswith(f"{source}: the encoder openh264 is missing")


def test_frames_are_shown_while_they_are_made(
    squares: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[np.ndarray] = []
    keys = iter([0] * 5 + [ord("q")])
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    monkeypatch.setattr(cv2, "destroyWindow", lambda _: shown.append(None))
    tracked = run(squares, write_video(tmp_path / "v.mp4", 50), tmp_path / "out", show=True)
    assert tracked.stopped and tracked.frames == 6 and shown[6:] == [None]
    with Reader(find_sources([str(tmp_path / "v.mp4")])[0]) as reader:
        assert (shown[0] != next(iter(reader)).image).any(), "with its objects"


def test_a_key_also_stops_further_sources(
    squares: Predictor, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(logging.getLogger("vatrack"), "propagate", True)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("vatrack.api.window.Window.show", lambda *_: False)
    bad = tmp_path / "a.mp4"
    bad.write_bytes(b"no video")
    sources = [bad, *(write_video(tmp_path / f"{name}.mp4", 50) for name in "bcd")]
    settings = TrackSettings(show=True)
    videos = track_videos(squares, sources, tmp_path / "out", settings)
    tracked = next(videos)
    assert tracked.stopped and tracked.frames < 50
    with pytest.raises(InputError, match=r"a\.mp4"):
        next(videos)
    assert left(tmp_path / "out") == ["b"]
    assert "stopped; 2 further sources not tracked" in caplog.text


def test_no_display(squares: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_video(tmp_path / "v.mp4", 3)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="remove --show"):
        run(squares, source, tmp_path / "out", show=True)
    monkeypatch.setenv("DISPLAY", ":0")

    def broken(*_: object) -> None:
        raise cv2.error("built without windows")

    monkeypatch.setattr(cv2, "imshow", broken)
    with pytest.raises(InputError, match="remove --show"):
        run(squares, source, tmp_path / "out", show=True)
    assert left(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"score": -0.1}, "from 0 to 1"),
        ({"rate": 1001.0}, "frame rate"),
        ({"cuts": "never"}, "unknown cuts 'never'"),
        ({"encoder": "av1"}, "unknown encoder 'av1'"),
    ],
)
def test_bad_settings(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrackSettings(**given)


def test_nothing_is_found(squares: Predictor, tmp_path: Path) -> None:
    tracked = run(squares, write_video(tmp_path / "v.mp4", 3), tmp_path / "out", score=1.0)
    assert tracked.tracks.total() == 0
    assert (tmp_path / "out/v/predictions.jsonl").read_text() == ""
    assert len((tmp_path / "out/v/tracks.csv").read_text().splitlines()) == 1
    assert len(times(tmp_path / "out/v/overlay.mp4")) == 3


def test_a_rate_is_for_sources_without_times(squares: Predictor, tmp_path: Path) -> None:
    video, frames = write_video(tmp_path / "v.mp4", 3), tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        assert cv2.imwrite(str(frames / f"{number}.png"), sample_image(number))
    settings, out = TrackSettings(rate=10, overlay=False), tmp_path / "out"
    with pytest.raises(InputError, match=r"the frame rate, 10, has no effect, because v has times"):
        track_videos(squares, [video], out, settings)
    with pytest.raises(InputError, match="the frame rate, 10, has no effect, because v has times"):
        squares.track(video, rate=10)
    assert not out.exists()
    assert len(list(track_videos(squares, [video, frames], out, settings))) == 2


@pytest.mark.parametrize(
    ("given", "score", "thresholds"),
    [
        ({}, 0.5, [0.01] * 3),
        ({"score": 0.4}, 0.4, [0.01] * 3),
        ({"score": 0.002}, 0.002, [0.002] * 3),
    ],
)
def test_the_thresholds_that_were_used_are_noted(
    squares: Predictor, tmp_path: Path, given: dict, score: float, thresholds: list[float]
) -> None:
    tracked = run(squares, write_video(tmp_path / "v.mp4", 1), tmp_path / "out", **given)
    about = yaml.safe_load((tracked.folder / "run.yaml").read_text())
    assert about["settings"]["score"] == score
    inference = about["network"]["inference"]
    found = [inference["score_threshold"]]
    found += [inference["tracker"][name] for name in ("init_score", "obj_score")]
    assert found == thresholds
