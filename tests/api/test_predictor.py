"""Tracking frames from wherever they come."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import vatrack
from tests.api.stub import settings
from tests.conftest import TinyData
from tests.models.small import small_network
from tests.video.videos import write_video
from vatrack.api.load import load
from vatrack.api.predictor import Predictor
from vatrack.api.results import FrameResult
from vatrack.common.errors import InputError
from vatrack.common.images import read_image
from vatrack.config import Method, RunConfig
from vatrack.data.frames import AnnotationFile
from vatrack.inference.clips import predict_clips
from vatrack.inference.predict import predict_files
from vatrack.models.detector import build
from vatrack.video.frames import Selection, VideoFrame
from vatrack.video.reader import Reader
from vatrack.video.sources import find_sources
from vatrack.weights.checkpoint import load as load_checkpoint
from vatrack.weights.checkpoint import restored, write


def frames(count: int = 6, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    chance = np.random.default_rng(3)
    scene = cv2.resize(chance.integers(0, 256, (6, 8, 3), np.uint8), size[::-1])
    return [np.roll(scene, 2 * step, axis=1) for step in range(count)]


def same(first: FrameResult, second: FrameResult) -> bool:
    return all(
        np.array_equal(getattr(first, item.name), getattr(second, item.name))
        for item in fields(first)
    )


def test_it_tracks_as_vatrack_predict_does(
    tiny_run: tuple[RunConfig, Path], tiny_data: TinyData, tmp_path: Path
) -> None:
    run, folder = tiny_run
    checkpoint, out = folder / "checkpoints" / "epoch_02.pt", tmp_path / "predictions.jsonl"
    truth = tiny_data.annotations / "valid" / "joint.json"
    predict_files(run, checkpoint, truth, tiny_data.images, out)
    expected = [json.loads(line) for line in out.read_text().splitlines()]
    found = []
    predictor = load(checkpoint, device="cpu")
    lowest = run.inference.score_threshold
    for number, clip in enumerate(AnnotationFile(truth).clips):
        listed = tmp_path / f"clip{number}.txt"
        listed.write_text("".join(f"{tiny_data.images / item.file_name}\n" for item in clip))
        ids = [item.image_id for item in clip]
        for result in predictor.track(listed, score=lowest, cuts="none"):
            for line in result.to_predictions():
                assert line.pop("frame") == result.index
                assert line.pop("time_s") == pytest.approx(result.index / 25)
                found.append(line | {"image_id": ids[result.index]})
    assert len(found) > 20
    assert [json.dumps(line) for line in found] == [json.dumps(line) for line in expected]


def test_wherever_frames_come_from_the_objects_are_the_same(
    checkpoint: Path, tmp_path: Path
) -> None:
    predictor = vatrack.load(checkpoint, device="cpu")
    video = write_video(tmp_path / "v.mp4", 6)
    with Reader(find_sources([str(video)])[0]) as reader:
        images = [frame.image for frame in reader]
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    first = list(predictor.track(video, score=0))
    assert len(first) == 6 and sum(map(len, first)) > 6
    for other in (images, iter(images), folder, str(folder), f"{folder}/*.png"):
        again = list(predictor.track(other, score=0))
        assert all(map(same, first, again)) and len(again) == 6


def test_an_array_may_be_overwritten_by_its_maker(checkpoint: Path) -> None:
    predictor = load(checkpoint, device="cpu")
    images = frames()

    def one_buffer() -> Iterator[np.ndarray]:
        buffer = np.empty_like(images[0])
        for image in images:
            buffer[:] = image
            yield buffer

    again = predictor.track(one_buffer(), score=0)
    assert all(map(same, predictor.track(images, score=0), again))


def foreign(path: Path) -> dict[str, Any]:
    """A checkpoint of another list of classes."""
    weights = small_network(Method.VATRACK).state_dict()
    name = "roi_head.bbox_head.fc_cls.weight"
    (name,) = [key for key in weights if key.endswith("bbox_head.fc_cls.weight")][:1]
    weights[name] = weights[name][:5]
    write(path, weights, settings(), 1)
    return {}


def test_choices(squares: Predictor) -> None:
    classes = f"{len(squares.classes)} classes"
    assert (
        repr(squares) == f"Predictor({squares.method}, {squares.run.backbone}, {classes}, on cpu)"
    )
    images = frames(8)
    both = list(squares.track(images, score=0))
    assert [result.track_ids.tolist() for result in both[:4]] == [[0, 1], [0, 1], [0, 1], [2, 3]]
    assert [len(result) for result in squares.track(images)] == [1] * 8
    chairs = list(squares.track(images, score=0, classes=[squares.classes[2].upper()]))
    assert {name for result in chairs for name in result.names} == {squares.classes[2]}


@pytest.mark.parametrize("rate", [10, 3])
@pytest.mark.parametrize(
    "selection", [Selection(0.1, 0.5, 2), Selection(0.3, step=3), Selection(0.6666667)]
)
def test_a_selection_of_arrays_is_that_of_files(
    squares: Predictor, tmp_path: Path, selection: Selection, rate: int
) -> None:
    images = frames(8)
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    given: dict[str, Any] = {"selection": selection, "rate": rate}
    of_files, of_arrays = (
        [(result.index, result.time_s) for result in squares.track(video, **given)]
        for video in (tmp_path, images)
    )
    assert of_arrays == of_files
    assert of_arrays[0][0] == 0


def test_capitals_of_a_class_count_where_nothing_else_differs(squares: Predictor) -> None:
    squares.classes = {1: "Car", 2: "car", 3: "Bus"}
    for number, name in squares.classes.items():
        assert squares.class_ids(name) == {number}
    assert squares.class_ids(["bus", "Car"]) == {1, 3}
    with pytest.raises(InputError, match="class 'CAR' may be Car or car; choose one of them"):
        squares.class_ids("CAR")


def test_ids_are_unique_over_shots(squares: Predictor) -> None:
    black, white = (np.full((48, 64, 3), value, np.uint8) for value in (0, 255))
    images = [black] * 7 + [white] * 7 + [black] * 7
    results = list(squares.track(images, score=0))
    assert [result.shot for result in results] == [0] * 7 + [1] * 7 + [2] * 7
    by_shot = [set[int](), set[int](), set[int]()]
    for result in results:
        by_shot[result.shot] |= set(result.track_ids.tolist())
    assert sorted(number for ids in by_shot for number in ids) == list(range(18))
    # A track that is never shown counts too.
    shown = [result.track_ids.tolist() for result in squares.track(images)]
    assert shown == [result.track_ids.tolist()[:1] for result in results]
    whole = list(squares.track(images, cuts="none"))
    assert {result.shot for result in whole} == {0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"score": 1.1}, "from 0 to 1"),
        ({"score": float("nan")}, "from 0 to 1"),
        ({"classes": ["persn"]}, "did you mean person"),
        ({"classes": "persn"}, "unknown class 'persn'"),
        ({"rate": 0.0}, "frame rate is 0.0"),
        ({"rate": float("nan")}, "frame rate is nan"),
        ({"cuts": "some"}, "'detect' or 'none'"),
    ],
)
def test_bad_settings_are_said_at_once(squares: Predictor, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        squares.track(frames(), **given)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([np.zeros((4, 4), np.uint8)], r"frame 0: is uint8 \[4, 4\]"),
        ([np.zeros((4, 4, 3), np.float32)], r"frame 0: is float32 \[4, 4, 3\]"),
        ([np.zeros((0, 4, 3), np.uint8)], r"\[0, 4, 3\]"),
        (np.zeros((4, 5, 3), np.uint8), r"an array \[4, 5, 3\] is one frame; give a list"),
        (["a.png"], "frame 0: is str"),
        ([np.zeros((4, 6, 3), np.uint8), np.zeros((4, 8, 3), np.uint8)], "frame 1: is 8 x 4"),
    ],
)
def test_bad_frames(squares: Predictor, images: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(squares.track(images))


def test_a_source_that_is_not_there_or_is_several(squares: Predictor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        squares.track(tmp_path / "none.mp4")
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", 2)
    with pytest.raises(InputError, match="matches 2 videos; track them one by one"):
        squares.track(f"{tmp_path}/*.mp4")


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_the_smallest_frames(checkpoint: Path, size: tuple[int, int]) -> None:
    images = [np.full((*size, 3), 7, np.uint8)] * 2
    for result in load(checkpoint, device="cpu").track(images, score=0):
        assert result.masks().shape == (len(result), *size)
        assert result.plot(images[0]).shape == (*size, 3)


@pytest.mark.parametrize("batch_frames", [1, 3])
def test_frames_that_show_nothing_are_results_too(
    batch_frames: int, tiny_run: tuple[RunConfig, Path]
) -> None:
    run, _ = tiny_run
    run = run.model_copy(
        update={
            "inference": run.inference.model_copy(update={"score_threshold": 1.0}),
            "compute": run.compute.model_copy(update={"batch_frames": batch_frames}),
        }
    )
    model = build(run.method, run.model, run.backbone).eval()
    # One of another shape is no part of a batch.
    images = [np.zeros((64, 96, 3), np.uint8)] * 4 + [np.zeros((96, 64, 3), np.uint8)]
    frames = [VideoFrame(number, number / 2, image) for number, image in enumerate(images)]
    followed = Predictor(model, run, torch.device("cpu")).follow(frames, cuts="none")
    found = [item.result for item in followed]
    assert [result.time_s for result in found] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert [result.height for result in found] == [64] * 4 + [96]
    for result in found:
        assert len(result.track_ids) == 0 and set(result.rles) == {"amodal", "visible"}
        assert result.to_predictions() == []


def test_a_video_without_end_is_tracked_frame_by_frame(
    tiny_run: tuple[RunConfig, Path], tiny_data: TinyData
) -> None:
    run, folder = tiny_run
    predictor = load(folder / "checkpoints" / "epoch_02.pt", device="cpu")
    (clip,) = AnnotationFile(tiny_data.annotations / "valid" / "joint.json").clips
    taken = 0

    def frames() -> Iterator[VideoFrame]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            image = read_image(tiny_data.images / clip[number % len(clip)].file_name)
            yield VideoFrame(number, number / 8, image)

    video = predictor.follow(frames(), cuts="none")
    found: list[dict[str, Any]] = []
    for number, frame in enumerate(clip):
        result = next(video).result
        assert (result.time_s, taken) == (number / 8, number + 1), "nothing is read ahead"
        for line in result.to_predictions():
            assert line.pop("frame") == line["image_id"] == number
            assert line.pop("time_s") == number / 8
            found.append(line | {"image_id": frame.image_id})
    device = torch.device("cpu")
    model = restored(load_checkpoint(folder / "checkpoints" / "epoch_02.pt"), run, folder)
    assert found == list(predict_clips(model, run, [clip], tiny_data.images, device, "test"))


def test_a_score_below_the_thresholds_lowers_them(checkpoint: Path) -> None:
    """A network that has learnt nothing has scores of some hundredths."""
    low = load(checkpoint, device="cpu")
    tracker = low.run.inference.tracker.model_copy(update={"init_score": 0.6, "obj_score": 0.7})
    settings = low.run.inference.model_copy(update={"score_threshold": 0.8, "tracker": tracker})
    run = low.run.model_copy(update={"inference": settings})
    high = Predictor(low.model, run, low.device)
    assert high.with_score(None) is high and high.with_score(0.8) is high
    lowered = high.with_score(0.65).run.inference
    assert lowered.score_threshold == lowered.tracker.obj_score == 0.65
    assert lowered.tracker.init_score == 0.6
    assert [len(result) for result in high.track(frames())] == [0] * 6
    found = list(high.track(frames(), score=0.01))
    assert sum(map(len, found)) > 6
    assert all(map(same, found, low.track(frames(), score=0.01)))
    with pytest.raises(InputError, match="the score threshold is 2"):
        high.track(frames(), score=2)
