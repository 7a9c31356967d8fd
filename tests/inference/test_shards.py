"""Predictions in shards: merged, they are the bytes of one prediction, or nothing is merged."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import TinyData, make_tiny_data
from vatrack.common.errors import InputError
from vatrack.common.gpus import claimed
from vatrack.common.shards import Shard
from vatrack.config import RunConfig
from vatrack.data.frames import Frame
from vatrack.inference.predict import _own_gpu, predict_files
from vatrack.inference.shards import merge_shards, record_path, write_record


@pytest.fixture(scope="module")
def five_clips(tmp_path_factory: pytest.TempPathFactory) -> TinyData:
    return make_tiny_data(tmp_path_factory.mktemp("five"), valid_videos=5)


def predict(
    tiny_run: tuple[RunConfig, Path],
    data: TinyData,
    out: Path,
    shard: Shard | None = None,
    processes: int = 1,
    **compute: Any,
) -> Path:
    run, folder = tiny_run
    run = run.model_copy(update={"compute": run.compute.model_copy(update=compute)})
    truth = data.annotations / "valid" / "joint.json"
    checkpoint = folder / "checkpoints" / "epoch_02.pt"
    predict_files(run, checkpoint, truth, data.images, out, processes, shard=shard)
    return out


@pytest.fixture(scope="module")
def whole(
    tiny_run: tuple[RunConfig, Path],
    five_clips: TinyData,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    return predict(tiny_run, five_clips, tmp_path_factory.mktemp("whole") / "p.jsonl.gz")


@pytest.fixture(scope="module")
def two_once(
    tiny_run: tuple[RunConfig, Path],
    five_clips: TinyData,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for number in (1, 2):
        predict(tiny_run, five_clips, folder / f"{number}.jsonl.gz", Shard(number, 2))
    return folder


@pytest.fixture
def two(two_once: Path, tmp_path: Path) -> list[Path]:
    shutil.copytree(two_once, tmp_path, dirs_exist_ok=True)
    return [tmp_path / f"{number}.jsonl.gz" for number in (1, 2)]


def change_record(shard: Path, changes: dict[str, Any]) -> None:
    path = record_path(shard)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.usefixtures("served_workers")
@pytest.mark.parametrize(
    ("count", "processes"),
    [
        pytest.param(3, 2, id="3 shards", marks=pytest.mark.slow),
        pytest.param(7, 1, id="more shards than clips"),
    ],
)
def test_merged_they_are_the_bytes_of_one_prediction(
    tiny_run: tuple[RunConfig, Path],
    five_clips: TinyData,
    whole: Path,
    tmp_path: Path,
    count: int,
    processes: int,
) -> None:
    shards = [
        predict(
            tiny_run,
            five_clips,
            tmp_path / f"{number}.jsonl.gz",
            Shard(number, count),
            processes if number == 1 else 1,
        )
        for number in range(count, 0, -1)
    ]
    merged = merge_shards(shards, tmp_path / "run" / "p.jsonl.gz")
    assert merged.out.read_bytes() == whole.read_bytes()
    assert (merged.clips, merged.shards) == (5, count)
    settings = (tmp_path / "run" / "inference.yaml").read_text()
    assert settings == whole.with_name("inference.yaml").read_text()
    assert gzip.decompress(whole.read_bytes()).count(b"\n") == merged.predictions > 0


def test_no_clip_depends_on_the_batches_before_it(
    tiny_run: tuple[RunConfig, Path], five_clips: TinyData, tmp_path: Path
) -> None:
    """As on a GPU, where several frames are one batch."""
    batches: dict[str, Any] = {"batch_frames": 3}
    alone = predict(tiny_run, five_clips, tmp_path / "p.jsonl", **batches)
    shards = [
        predict(tiny_run, five_clips, tmp_path / f"{number}.jsonl", Shard(number, 3), **batches)
        for number in (1, 2, 3)
    ]
    merged = merge_shards(shards, tmp_path / "merged.jsonl")
    assert merged.out.read_bytes() == alone.read_bytes()


def test_a_shard_that_is_missing_is_named(
    tiny_run: tuple[RunConfig, Path],
    five_clips: TinyData,
    whole: Path,
    two: list[Path],
    tmp_path: Path,
) -> None:
    out = tmp_path / "run" / "p.jsonl.gz"
    with pytest.raises(InputError, match=r"1\.jsonl\.gz: is shard 1/2, but 2/2 is missing"):
        merge_shards(two[:1], out)
    with pytest.raises(InputError, match=r"1\.jsonl\.gz: shard 1/2 is given twice; give each"):
        merge_shards([*two, two[0]], out)
    record_path(two[1]).unlink()
    with pytest.raises(InputError, match=r"2\.jsonl\.gz\.shard\.json: .* incomplete; predict"):
        merge_shards(two, out)
    two[1].unlink()
    with pytest.raises(
        InputError, match=r"2\.jsonl\.gz: no such file, so the shard is incomplete;"
    ):
        merge_shards(two, out)
    assert not out.exists()
    predict(tiny_run, five_clips, two[1], Shard(2, 2))
    assert merge_shards(two, out).out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"of": 3}, "another number of shards than"),
        ({"set": "x"}, "of other clips than"),
        ({"checkpoint": "x"}, "of another checkpoint than"),
        ({"classes": [2, 1]}, r"with other classes \(--class-map\) than"),
        ({"settings": {}}, "with other settings than"),
        ({"predictions": 100000}, "100000 in its record; predict the shard again"),
        ({"shard": 5}, "not the record of a shard"),
        ({"clips": None}, "not the record of a shard"),
    ],
)
def test_what_does_not_belong_together(
    two: list[Path], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    change_record(two[1], changes)
    out = tmp_path / "run" / "p.jsonl.gz"
    with pytest.raises(InputError, match=rf"2\.jsonl\.gz.*{message}"):
        merge_shards(two, out)
    assert not out.exists()


@pytest.mark.parametrize("field", ["image_id", "file_name"])
def test_the_frames_count_not_only_the_ids_of_their_clips(field: str, tmp_path: Path) -> None:
    frame, settings = Frame(7, 1, 0, "clip/0.png", 96, 64), {"checkpoint": {"sha256": "a1"}}
    changes: dict[str, Any] = {"image_id": 8, "file_name": "clip/1.png"}
    clips = [[[frame]], [[replace(frame, **{field: changes[field]})]]]
    shards = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    for number, (path, own) in enumerate(zip(shards, clips, strict=True), 1):
        path.touch()
        write_record(path, Shard(number, 2), own, own, [1], 0, settings)
    with pytest.raises(InputError, match=r"2\.jsonl.*of other clips than"):
        merge_shards(shards, tmp_path / "run" / "p.jsonl")


def test_a_damaged_shard(two: list[Path], tmp_path: Path) -> None:
    two[0].write_bytes(two[0].read_bytes()[:-20])
    with pytest.raises(InputError, match=r"1\.jsonl\.gz"):
        merge_shards(two, tmp_path / "run" / "p.jsonl.gz")


def test_a_prediction_that_fails_leaves_no_complete_shard(
    tiny_run: tuple[RunConfig, Path], five_clips: TinyData, two: list[Path], tmp_path: Path
) -> None:
    nowhere = TinyData(five_clips.annotations, tmp_path / "empty")
    nowhere.images.mkdir()
    with pytest.raises(InputError):
        predict(tiny_run, nowhere, two[0], Shard(1, 2))
    with pytest.raises(InputError, match="the shard is incomplete;"):
        merge_shards(two, tmp_path / "run" / "p.jsonl.gz")


def test_each_prediction_on_gpus_takes_a_free_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    gpu = torch.device("cuda")
    with claimed(1), _own_gpu(gpu, None) as second, _own_gpu(gpu, Shard(1, 4)) as third:
        assert (second.index, third.index) == (1, 2)
        for number in (1, 2, 3, 4):  # all are taken
            with _own_gpu(gpu, Shard(number, 4)) as shared:
                assert shared.index == (number - 1) % 3
    for chosen in (torch.device("cpu"), torch.device("cuda", 1)):
        with _own_gpu(chosen, Shard(1, 2)) as same:
            assert same == chosen


def test_a_prediction_where_there_are_no_gpus_leaves_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with _own_gpu(torch.device("cpu"), Shard(1, 2)):
        assert not list(tmp_path.iterdir())
