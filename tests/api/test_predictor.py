"""A predictor from any checkpoint, for any source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import vatrack
from tests.conftest import TinyData
from tests.weights.published import tensors, write_published
from vatrack.api.predictor import Predictor, load
from vatrack.api.results import FrameResult
from vatrack.common.errors import InputError
from vatrack.common.images import read_image
from vatrack.config import Backbone, Method, RunConfig
from vatrack.data.frames import Frame
from vatrack.inference.predict import predict_files
from vatrack.video.reader import Selection
from vatrack.weights.checkpoint import export


def lines(results: Iterator[FrameResult]) -> list[str]:
    return [json.dumps(item) for result in results for item in result.to_predictions()]


def test_objects_are_those_of_predict(
    predictor: Predictor,
    checkpoint: Path,
    clip: list[Frame],
    folder: Path,
    tiny_run: tuple[RunConfig, Path],
    tiny_data: TinyData,
    tmp_path: Path,
) -> None:
    out = tmp_path / "p.jsonl"
    truth = tiny_data.annotations / "valid" / "joint.json"
    predict_files(tiny_run[0], checkpoint, truth, tiny_data.images, out)
    ids = {frame.image_id: number for number, frame in enumerate(clip)}
    wanted = []
    for line in out.read_text().splitlines():
        item = json.loads(line)
        if item["image_id"] in ids:
            wanted.append(item | {"image_id": ids[item["image_id"]]})
    found = [
        {key: value for key, value in item.items() if key not in ("frame", "time_s")}
        for result in predictor.track(folder, score=0.0, cuts="none")
        for item in result.to_predictions()
    ]
    assert len(wanted) > 20
    assert found == wanted


def test_folder_pattern_and_arrays_are_the_same(
    predictor: Predictor, folder: Path, clip: list[Frame], tiny_data: TinyData
) -> None:
    images = [read_image(tiny_data.images / frame.file_name) for frame in clip]
    by_folder = lines(predictor.track(folder, score=0.0))
    assert by_folder
    assert lines(predictor.track(str(folder / "*"), score=0.0)) == by_folder
    assert lines(predictor.track(images, score=0.0)) == by_folder
    assert lines(predictor.track(iter(images), score=0.0)) == by_folder


def test_a_video_gives_times_and_as_many_frames(
    predictor: Predictor, video: Path, clip: list[Frame]
) -> None:
    results = list(predictor.track(video))
    assert len(results) == len(clip)
    assert [result.time_s for result in results] == pytest.approx(
        [n / 25 for n in range(len(clip))]
    )
    chosen = list(predictor.track(video, selection=Selection(0.12, 0.3, 2)))
    assert [round(result.time_s, 3) for result in chosen] == [0.12, 0.2, 0.28]


def test_scores_and_classes_choose_objects(predictor: Predictor, folder: Path) -> None:
    every = [item for result in predictor.track(folder, score=0.0) for item in result.names]
    name = max(set(every), key=every.count)
    chosen = list(predictor.track(folder, score=0.05, classes=[name.upper()]))
    assert {item for result in chosen for item in result.names} <= {name}
    assert all((result.scores >= 0.05).all() for result in chosen)
    with pytest.raises(InputError, match="no class is called 'persn'; did you mean person"):
        next(predictor.track(folder, classes=["persn"]))
    for score in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="score threshold"):
            next(predictor.track(folder, score=score))


def test_a_cut_starts_new_tracks_with_new_ids(predictor: Predictor, folder: Path) -> None:
    files = sorted(folder.iterdir())
    images = [read_image(file) for file in files[:7]]
    dark = [255 - image for image in images]
    results = list(predictor.track([*images, *dark], score=0.0))
    assert {result.shot for result in results[:7]} == {0}
    assert {result.shot for result in results[7:]} == {1}
    first = {int(i) for result in results[:7] for i in result.track_ids}
    second = {int(i) for result in results[7:] for i in result.track_ids}
    assert first
    assert second
    assert max(first) < min(second)
    whole = list(predictor.track([*images, *dark], score=0.0, cuts="none"))
    assert {result.shot for result in whole} == {0}


@pytest.mark.parametrize(
    "frames",
    [[np.zeros((9, 9), np.uint8)], [np.zeros((9, 9, 3))], ["x"], [np.zeros((0, 9, 3), np.uint8)]],
)
def test_arrays_that_are_no_frames(predictor: Predictor, frames: list[np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"frame 0: is .*; uint8 \[H, W, 3\] in BGR is needed"):
        list(predictor.track(frames))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2)])
def test_tiny_frames(predictor: Predictor, size: tuple[int, int]) -> None:
    (found,) = predictor.track([np.zeros((*size, 3), np.uint8)], score=0.0)
    assert (found.height, found.width) == size
    assert found.masks().shape == (len(found), *size)


def test_safetensors_are_the_same(
    predictor: Predictor, checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    export(checkpoint, tmp_path / "shared.safetensors")
    other = vatrack.load(tmp_path / "shared.safetensors", device="cpu")
    assert lines(other.track(folder, score=0.2)) == lines(predictor.track(folder, score=0.2))


def test_the_largest_side_and_half_precision(checkpoint: Path, folder: Path) -> None:
    small = load(checkpoint, device="cpu", largest_side=64, half=True)
    assert small.run.input.image_scale == (64, 64)
    assert small.run.compute.precision == "mixed"
    assert sum(1 for _ in small.track(folder)) == len(list(folder.iterdir()))
    with pytest.raises(InputError, match="the largest side is 8 pixels"):
        load(checkpoint, largest_side=8)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[Method, Path]:
    folder = tmp_path_factory.mktemp("published")
    return {
        method: write_published(
            folder / f"{method}.pth", tensors(method, Backbone.RESNET50), "wrapped"
        )
        for method in (Method.QDTRACK, Method.VATRACK)
    }


@pytest.mark.slow
def test_a_published_file_as_it_is(published: dict[Method, Path]) -> None:
    found = load(published[Method.VATRACK], device="cpu")
    assert (found.method, str(found.run.backbone)) == ("vatrack", "resnet50")
    assert found.mask_types == ("amodal", "visible")
    with pytest.raises(InputError, match="--method qdtrack or --method amodaltrack"):
        load(published[Method.QDTRACK])
    found = load(published[Method.QDTRACK], device="cpu", method="amodaltrack")
    assert found.mask_types == ("amodal",)
    with pytest.raises(InputError, match="is a checkpoint of method vatrack, not vatrack-2bbox"):
        load(published[Method.VATRACK], method="vatrack-2bbox")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "vatrack"}, "is a checkpoint of method vatrack-2bbox, not vatrack"),
        ({"backbone": "resnet50"}, "is a checkpoint of backbone resnet18, not resnet50"),
        ({"method": "vatrak"}, "no method is called 'vatrak'; did you mean vatrack"),
        ({"backbone": "resnet51"}, "no backbone is called 'resnet51'; did you mean"),
        ({"device": "cuda"}, "PyTorch finds no GPU here"),
    ],
)
def test_what_does_not_fit_the_file(checkpoint: Path, options: dict, message: str) -> None:
    if options.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(InputError, match=message):
        load(checkpoint, **options)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        load(tmp_path / "none.pt")
    (tmp_path / "a.pt").write_text("hello")
    with pytest.raises(InputError, match="a text file"):
        load(tmp_path / "a.pt")
    torch.save({"state_dict": {"fc.weight": torch.ones(2, 2)}}, tmp_path / "b.pt")
    with pytest.raises(InputError, match="holds no network of qdtrack, amodaltrack"):
        load(tmp_path / "b.pt")


def test_several_videos_are_not_one(predictor: Predictor, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="names 2 videos; track them one by one"):
        next(predictor.track(f"{tmp_path}/*.mp4"))


def test_metrics_of_python_are_those_of_the_command(
    checkpoint: Path, tiny_run: tuple[RunConfig, Path], tiny_data: TinyData, tmp_path: Path
) -> None:
    truth = tiny_data.annotations / "valid" / "joint.json"
    out = tmp_path / "p.jsonl.gz"
    predict_files(tiny_run[0], checkpoint, truth, tiny_data.images, out)
    found = vatrack.evaluate(truth, out)
    vatrack.evaluate_files(truth, out, {}, tiny_run[0].evaluation, tmp_path / "m.json")
    assert found == json.loads((tmp_path / "m.json").read_text())
    first = next(vatrack.read_predictions(out))
    assert {"image_id", "score", "track_id"} <= first.keys()


def test_a_plot_is_a_frame(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    file = sorted(folder.iterdir())[0]
    result = next(iter(predictor.track(folder, score=0.0)))
    image = result.plot(read_image(file))
    assert image.shape == (result.height, result.width, 3)
