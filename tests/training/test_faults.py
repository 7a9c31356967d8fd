"""What follows when numbers are not finite, by `training.faults` (quirk T11)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import TinyData, tiny_config
from tests.training.interrupted import lines
from vatrack.common.errors import TrainingDiverged
from vatrack.common.value_files import read_json
from vatrack.config import Backbone, Method, RunConfig
from vatrack.data.batches import collate
from vatrack.data.transforms import network_input
from vatrack.training.distributed import Processes
from vatrack.training.loop import train
from vatrack.weights.checkpoint import load

pytestmark = pytest.mark.usefixtures("narrow_trunk")


def _run(folder: Path, policy: str, **training: object) -> RunConfig:
    settings = {"epochs": 1, "validate_from": 1, "batch_size": 2, "log_every": 1, **training}
    settings["faults"] = {"policy": policy, "limit": 2}
    return tiny_config(folder, **settings).for_run(Method.VATRACK, Backbone.RESNET18)


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the batches, counted over the whole test, whose images hold a NaN; and how often
    a batch was made."""
    wanted: list[int] = []
    made = 0

    def spoil(pairs: Any) -> Any:
        nonlocal made
        batch = collate(pairs)
        if made in wanted:
            images = network_input(batch.key_images, batch.image_sizes, "cpu")
            images[0, 0, 5, 5] = math.nan
            batch = replace(batch, key_images=images)
        made += 1
        return batch

    monkeypatch.setattr("vatrack.training.epochs.collate", spoil)
    return wanted


def test_stop_names_the_images_and_saves_the_state_before(
    spoilt: list[int], tiny_data: TinyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt.append(2)
    saved: list[int] = []
    monkeypatch.setattr(
        Processes, "wait", lambda _: saved.append(len(list(tmp_path.glob("state/*.pt"))))
    )
    with pytest.raises(
        TrainingDiverged,
        match=r"stopped before an update is not finite.*images \(key, reference\): \[\(\d+, \d+\)",
    ):
        train(_run(tmp_path, "stop"), tiny_data.annotations, tiny_data.images, tmp_path)
    fault = read_json(tmp_path / "faults" / "epoch_01_batch_000002.json")
    assert (fault["epoch"], fault["batch"], fault["iteration"]) == (1, 2, 2)
    assert len(fault["images"]) == 2
    assert fault["processes"][0]["terms"]["loss"] == "nan"
    assert fault["processes"][0]["gradients"]
    assert saved == [2], "the others, whose end kills the first process, wait until it has saved"
    # As the message says: with another policy it goes on from there.
    train(_run(tmp_path, "skip"), tiny_data.annotations, tiny_data.images, tmp_path)
    assert read_json(tmp_path / "training.json")["starts"] == 2


def test_skip_leaves_the_batch_out(
    spoilt: list[int], tiny_data: TinyData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt.append(2)
    train(_run(tmp_path, "skip"), tiny_data.annotations, tiny_data.images, tmp_path)
    assert "skipping epoch 1 batch 2: an update is not finite" in capsys.readouterr().out
    assert read_json(tmp_path / "training.json")["skipped"] == [[0, 2]]
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [1, 2, 4, 5]
    _assert_finite(tmp_path)


def test_rollback_undoes_what_led_to_the_fault(
    spoilt: list[int], tiny_data: TinyData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was saved since the start: it goes on from there with the batches behind the
    fault."""
    spoilt.append(2)
    train(_run(tmp_path, "rollback"), tiny_data.annotations, tiny_data.images, tmp_path)
    assert "back to epoch 1, batch 0; continuing with batch 3" in capsys.readouterr().out
    assert sorted(read_json(tmp_path / "training.json")["skipped"]) == [[0, 0], [0, 1], [0, 2]]
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [4, 5]
    _assert_finite(tmp_path)


def test_lines_are_complete_where_the_last_batch_of_an_epoch_is_left_out(
    spoilt: list[int], tiny_data: TinyData, tmp_path: Path
) -> None:
    spoilt.extend([4, 9])
    run = _run(tmp_path, "skip", epochs=2, validate_from=2, log_every=100)
    train(run, tiny_data.annotations, tiny_data.images, tmp_path)
    assert [(line["epoch"], line["step"]) for line in lines(tmp_path)] == [(1, 5), (2, 10), (2, 10)]


def _assert_finite(run: Path) -> None:
    weights = load(run / "checkpoints" / "epoch_01.pt").weights
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_the_number_of_faults_is_bounded(
    policy: str, spoilt: list[int], tiny_data: TinyData, tmp_path: Path
) -> None:
    spoilt.extend(range(1000))
    with pytest.raises(TrainingDiverged, match=r"stopped after training\.faults\.limit = 2 faults"):
        train(_run(tmp_path, policy), tiny_data.annotations, tiny_data.images, tmp_path)
    assert len(list((tmp_path / "faults").iterdir())) == 3


def test_the_published_crash_is_a_clear_end(tiny_data: TinyData, tmp_path: Path) -> None:
    """A rate that is far too high makes the weights, then the RPN's outputs overflow, and no
    proposal is left.

    The published code goes on to the maximum over no proposals, "operation does not have an
    identity".
    """
    huge = {"name": "sgd", "learning_rate": 1e18, "clip_norm": None}
    with pytest.raises(
        TrainingDiverged,
        match=r"training stopped before an update.*lower training\.optimizer\.learning_rate",
    ):
        train(
            _run(
                tmp_path, "stop", optimizer=huge, schedule={"name": "step", "warmup_iterations": 0}
            ),
            tiny_data.annotations,
            tiny_data.images,
            tmp_path,
        )
    assert not (tmp_path / "training.json").exists()
    state = sorted((tmp_path / "state").glob("*.pt"))[-1]
    weights = torch.load(state, weights_only=True)["model"]
    assert all(torch.isfinite(value).all() for value in weights.values())
