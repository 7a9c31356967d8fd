"""Predictions of a trained network, as files (design contract 2)."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import shutil
import signal
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_tools

from tests.children import children_before, left_processes  # noqa: F401
from tests.conftest import TinyData, make_tiny_data
from vatrack.common.errors import InputError
from vatrack.common.files import write_json
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.value_files import read_json, read_yaml
from vatrack.config import InferenceConfig, RunConfig
from vatrack.config.compute import InputConfig
from vatrack.data.frames import AnnotationFile
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.inference import clips, predict, predictor
from vatrack.inference.clips import predict_clips
from vatrack.inference.predict import predict_files
from vatrack.inference.tracker import QuasiDenseTracker, TrackedRows
from vatrack.weights.checkpoint import load, restored


@pytest.fixture(scope="module")
def predictions(
    tiny_run: tuple[RunConfig, Path], tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run, folder = tiny_run
    out = tmp_path_factory.mktemp("predictions") / "predictions.jsonl.gz"
    checkpoint = folder / "checkpoints" / "epoch_02.pt"
    predict_files(
        run, checkpoint, tiny_data.annotations / "valid" / "joint.json", tiny_data.images, out
    )
    return out


def test_every_line_is_a_whole_prediction(predictions: Path, tiny_data: TinyData) -> None:
    truth = read_json(tiny_data.annotations / "valid" / "joint.json")
    images = {image["id"]: image for image in truth["images"]}
    with gzip.open(predictions, "rt") as stream:
        lines = [json.loads(line) for line in stream]
    assert lines
    by_track, seen = defaultdict(set), set()
    for line in lines:
        image = images[line["image_id"]]
        assert 1 <= line["category_id"] <= 24
        assert 0.01 < line["score"] <= 1
        for box in (line["bbox"], line["bbox_visible"]):
            assert np.float32(box).tolist() == box, "exact float32 values"
            assert box[0] >= 0
            assert box[0] + box[2] <= image["width"] + 1e-3
        for mask_type in ("amodal", "visible"):
            assert line[mask_type]["size"] == [image["height"], image["width"]]
            *_, width, height = line["bbox" if mask_type == "amodal" else "bbox_visible"]
            assert rle_tools.area(line[mask_type]) <= (width + 1) * (height + 1), (
                "a mask lies inside its box"
            )
        key = (image["video_id"], line["track_id"], line["image_id"])
        assert key not in seen
        seen.add(key)
        by_track[key[:2]].add(line["category_id"])
    assert all(len(classes) == 1 for classes in by_track.values()), "a track keeps its class"


def test_validation_during_training_and_prediction_afterwards_agree(
    predictions: Path, tiny_run: tuple[RunConfig, Path], tiny_data: TinyData, tmp_path: Path
) -> None:
    run, folder = tiny_run
    valid = tiny_data.annotations / "valid"
    videos = {mask_type: valid / f"video_{mask_type}.json" for mask_type in MASK_TYPES}
    inputs = EvaluationInputs(valid / "joint.json", predictions, videos, run.evaluation)
    evaluate_inputs(inputs, tmp_path / "metrics.json")
    metrics = read_json(tmp_path / "metrics.json")
    assert metrics == read_json(folder / "validation" / "epoch_02.json")
    assert {"image/amodal/AP", "video/visible/AP50", "track/amodal/MOTA"} <= metrics.keys()


def test_failure_leaves_no_file(
    tiny_run: tuple[RunConfig, Path], tiny_data: TinyData, tmp_path: Path
) -> None:
    run, folder = tiny_run
    out = tmp_path / "predictions.jsonl.gz"
    checkpoint, truth = (
        folder / "checkpoints" / "epoch_02.pt",
        tiny_data.annotations / "valid" / "joint.json",
    )
    with pytest.raises(InputError, match="nowhere: no such folder"):
        predict_files(run, checkpoint, truth, tmp_path / "nowhere", out)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"/empty: contains no frames of .*joint\.json: expected "):
        predict_files(run, checkpoint, truth, tmp_path / "empty", out)
    for clip in tiny_data.images.glob("[!.]*"):
        (tmp_path / "empty" / clip.name).mkdir()
    with pytest.raises(InputError, match="000003"):
        predict_files(run, checkpoint, truth, tmp_path / "empty", out)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    bare = tmp_path / "bare" / "joint.json"
    write_json(bare, read_json(truth) | {"videos": [], "images": [], "annotations": []})
    with pytest.raises(InputError, match=r"bare/joint\.json: contains no images; give joint\.json"):
        predict_files(run, checkpoint, bare, tiny_data.images, out)
    assert not out.exists()


def test_the_settings_lie_beside_the_predictions(
    predictions: Path, tiny_run: tuple[RunConfig, Path], tiny_data: TinyData
) -> None:
    run, folder = tiny_run
    found = read_yaml(predictions.with_name("inference.yaml"))
    assert found["predictions"] == predictions.name
    assert found["sha256"] == hashlib.sha256(gzip.decompress(predictions.read_bytes())).hexdigest()
    checkpoint = folder / "checkpoints" / "epoch_02.pt"
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert found["checkpoint"] == {"epoch": 2, "sha256": digest}
    assert InferenceConfig.model_validate(found["inference"]) == run.inference
    assert InputConfig.model_validate(found["input"]) == run.input
    clips = list(AnnotationFile(tiny_data.annotations / "valid" / "joint.json").clip_names.values())
    assert found["clips"] == {"number": len(clips), "first": clips[0], "last": clips[-1]}
    assert found["compute"] == run.compute.model_dump(include={"precision", "tf32", "winograd"})


@pytest.mark.parametrize("which", ["checkpoint", "frames"])
def test_the_settings_are_not_written_over_an_input(
    which: str, tiny_run: tuple[RunConfig, Path], tiny_data: TinyData, tmp_path: Path
) -> None:
    run, folder = tiny_run
    inputs = {
        "checkpoint": folder / "checkpoints" / "epoch_02.pt",
        "frames": tiny_data.annotations / "valid" / "joint.json",
    }
    read = tmp_path / "inference.yaml"
    shutil.copy(inputs[which], read)
    before = read.read_bytes()
    inputs[which] = read
    with pytest.raises(InputError, match=r"inference\.yaml: would overwrite the input"):
        predict_files(
            run, inputs["checkpoint"], inputs["frames"], tiny_data.images, tmp_path / "p.jsonl"
        )
    assert read.read_bytes() == before
    assert not (tmp_path / "p.jsonl").exists()


def predictions_with(
    precision: str, tiny_run: tuple[RunConfig, Path], tiny_data: TinyData
) -> list[dict[str, Any]]:
    run, folder = tiny_run
    run = run.model_copy(
        update={"compute": run.compute.model_copy(update={"precision": precision})}
    )
    checkpoint = folder / "checkpoints" / "epoch_02.pt"
    model = restored(load(checkpoint), run, checkpoint)
    clips = AnnotationFile(tiny_data.annotations / "valid" / "joint.json").clips[:1]
    return list(predict_clips(model, run, clips, tiny_data.images, torch.device("cpu"), "test"))


def test_float32_changes_no_bit_and_bfloat16_stays_close(
    tiny_run: tuple[RunConfig, Path], tiny_data: TinyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked: list[bool] = []
    update = QuasiDenseTracker.update

    def watched(self: QuasiDenseTracker, *arguments: Any) -> TrackedRows:
        tracked.append(torch.is_autocast_enabled("cpu"))
        boxes, scores, _, embeddings, _ = arguments
        assert {boxes.dtype, scores.dtype, embeddings.dtype} == {torch.float32}
        return update(self, *arguments)

    monkeypatch.setattr(QuasiDenseTracker, "update", watched)
    exact = predictions_with("float32", tiny_run, tiny_data)
    short = predictions_with("bfloat16", tiny_run, tiny_data)
    assert tracked and not any(tracked), "tracking is computed in float32"
    with monkeypatch.context() as patch:
        patch.setattr(clips, "prepare", lambda model, *_: model.eval())
        plain = predictions_with("float32", tiny_run, tiny_data)
        patch.setattr(predictor, "autocast", lambda *_: nullcontext())
        assert predictions_with("bfloat16", tiny_run, tiny_data) == plain
    assert short and short != exact, "bfloat16 has an effect"
    # Values that leave the network are not rounded to the eight bits of bfloat16.
    numbers = torch.tensor([[line["score"], *line["bbox"]] for line in short])
    assert (numbers != numbers.bfloat16().float()).float().mean() > 0.5

    # Scores of the tiny network almost tie, so suppression may choose otherwise now and then.
    found = sum(any(close(line, other) for other in short) for line in exact)
    assert found > 0.9 * len(exact)


@pytest.fixture(scope="module")
def three_clips(tmp_path_factory: pytest.TempPathFactory) -> TinyData:
    return make_tiny_data(tmp_path_factory.mktemp("three"), valid_videos=3)


@contextmanager
def several_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    yield
    assert torch.get_num_threads() == before + 1, "they are as before"
    torch.set_num_threads(before)


def predicted(
    tiny_run: tuple[RunConfig, Path],
    data: TinyData,
    out: Path,
    processes: int | None = None,
    **compute: Any,
) -> bytes:
    run, folder = tiny_run
    run = run.model_copy(update={"compute": run.compute.model_copy(update=compute)})
    truth = data.annotations / "valid" / "joint.json"
    done = predict_files(
        run, folder / "checkpoints" / "epoch_02.pt", truth, data.images, out, processes
    )
    assert done.clips == 3
    content = out.read_bytes()
    assert content.count(b"\n") == done.predictions > 0
    return content


@pytest.mark.usefixtures("served_workers")
def test_neither_processes_nor_mask_workers_change_a_byte(
    tiny_run: tuple[RunConfig, Path], three_clips: TinyData, tmp_path: Path
) -> None:
    alone = predicted(tiny_run, three_clips, tmp_path / "1.jsonl", 1)
    with several_threads():
        again = predicted(tiny_run, three_clips, tmp_path / "1.jsonl", 1)
    assert again == alone, "one thread"
    assert predicted(tiny_run, three_clips, tmp_path / "2.jsonl", 2, workers=2) == alone
    assert predicted(tiny_run, three_clips, tmp_path / "5.jsonl", 5) == alone, "fewer clips"
    assert predicted(tiny_run, three_clips, tmp_path / "m.jsonl", 1, mask_workers=2) == alone
    assert left_processes() == []


def killed_encode(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_mask_worker_is_told_with_its_setting(
    tiny_run: tuple[RunConfig, Path],
    three_clips: TinyData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clips, "_encode", killed_encode)
    told = r"was killed.*; lower compute\.mask_workers \(now 2; 0: none\)$"
    with pytest.raises(BrokenProcessPool, match=told):
        predicted(tiny_run, three_clips, tmp_path / "m.jsonl", 1, mask_workers=2)


def test_progress_ends_before_an_error_of_the_output_is_shown(
    tiny_run: tuple[RunConfig, Path],
    three_clips: TinyData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bar would stand before the message otherwise."""
    ended: list[str] = []

    def noting(items: Iterator[Any], title: str, _: int) -> Iterator[Any]:
        try:
            yield from items
        finally:
            ended.append(title)

    def full(lines: Iterator[str], out: Path) -> int:
        next(iter(lines))
        raise OSError(errno.ENOSPC, "No space left on device", str(out))

    monkeypatch.setattr(predict, "progress", noting)
    monkeypatch.setattr(predict, "_write_lines", full)
    with pytest.raises(OSError, match="No space left") as caught:
        predicted(tiny_run, three_clips, tmp_path / "m.jsonl")
    assert ended == ["predict"]
    assert caught.tb  # as long as it is kept, nothing is closed by itself


@pytest.mark.parametrize("ahead", [0, 1])
def test_frames_in_batches_give_the_same_objects(
    ahead: int,
    tiny_run: tuple[RunConfig, Path],
    three_clips: TinyData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row for row; of larger batches a convolution may round the last bits otherwise."""
    alone = predicted(tiny_run, three_clips, tmp_path / "alone.jsonl")
    original = predictor.FramePredictor.__init__

    def computing_ahead(self: predictor.FramePredictor, *arguments: Any) -> None:
        original(self, *arguments)
        self.ahead = ahead

    monkeypatch.setattr(predictor.FramePredictor, "__init__", computing_ahead)
    together = predicted(tiny_run, three_clips, tmp_path / "batches.jsonl", batch_frames=4)
    lines = [list(map(json.loads, content.splitlines())) for content in (alone, together)]
    for line, other in zip(*lines, strict=True):
        for key in ("image_id", "category_id", "track_id"):
            assert line[key] == other[key]
        assert abs(line["score"] - other["score"]) < 1e-5
        np.testing.assert_allclose(line["bbox"], other["bbox"], atol=1e-3)
        for mask_type in ("amodal", "visible"):
            both = [rle_tools.decode(one[mask_type]).astype(bool) for one in (line, other)]
            assert (both[0] ^ both[1]).mean() < 1e-3


@pytest.mark.usefixtures("served_workers")
def test_a_bad_frame_ends_all_processes(
    tiny_run: tuple[RunConfig, Path], three_clips: TinyData, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(three_clips.images, images, symlinks=True)
    truth = read_json(three_clips.annotations / "valid" / "joint.json")
    frame = images / truth["images"][-1]["file_name"]
    frame.unlink()
    frame.write_bytes(b"no image")
    data = TinyData(three_clips.annotations, images)
    with pytest.raises(InputError, match=frame.name):
        predicted(tiny_run, data, tmp_path / "out" / "p.jsonl", 2)
    assert list((tmp_path / "out").iterdir()) == []
    assert left_processes() == []


def close(line: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two predictions show the same object in almost the same way."""
    return (
        (other["image_id"], other["category_id"]) == (line["image_id"], line["category_id"])
        and abs(other["score"] - line["score"]) < 1e-3
        and rle_tools.iou([line["bbox"]], [other["bbox"]], [0])[0, 0] > 0.98
        and all(
            rle_tools.iou([line[mask_type]], [other[mask_type]], [0])[0, 0] > 0.9
            for mask_type in ("amodal", "visible")
        )
    )
