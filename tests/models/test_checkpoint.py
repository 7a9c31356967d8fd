"""Checkpoints: round trip, and what a wrong file says."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from tests.models.small import SMALL
from vatrack.config import Backbone, Config, Method, RunConfig
from vatrack.errors import InputError
from vatrack.models.checkpoint import load, restore, save
from vatrack.models.detector import build


def _run(method: Method, **changes: object) -> RunConfig:
    return Config(model=SMALL.model_copy(update=changes)).for_run(method, Backbone.RESNET18)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    run = _run(Method.VATRACK)
    torch.manual_seed(1)
    save(tmp_path / "epoch_03.pt", build(run.method, run.model, run.backbone), run, 3)
    return tmp_path / "epoch_03.pt"


def test_round_trip(saved: Path) -> None:
    run = _run(Method.VATRACK)
    torch.manual_seed(2)
    model = build(run.method, run.model, run.backbone)
    checkpoint = load(saved)
    restore(model, checkpoint, run, saved)
    torch.manual_seed(1)
    original = build(run.method, run.model, run.backbone)
    assert checkpoint.epoch == 3
    for name, value in model.state_dict().items():
        assert torch.equal(value, original.state_dict()[name]), name
    assert [path.name for path in saved.parent.iterdir()] == ["epoch_03.pt"], "no temporary file is left"


def test_another_method_is_refused_by_name(saved: Path) -> None:
    run = _run(Method.QDTRACK)
    with pytest.raises(InputError, match=r"epoch_03\.pt: a checkpoint of method vatrack, but qdtrack was asked for"):
        restore(build(run.method, run.model, run.backbone), load(saved), run, saved)


def test_another_width_is_refused_with_the_first_difference(saved: Path) -> None:
    run = _run(Method.VATRACK, box_head_channels=24)
    with pytest.raises(InputError, match=r"another model configuration.*bbox_head.*24 wanted"):
        restore(build(run.method, run.model, run.backbone), load(saved), run, saved)


def test_cut_off_foreign_and_missing_files(saved: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pt"
    cut.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut\.pt: not a readable checkpoint"):
        load(cut)
    empty = tmp_path / "empty.pt"
    empty.touch()
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load(empty)
    foreign = tmp_path / "foreign.pt"
    torch.save({"state_dict": {}}, foreign)
    with pytest.raises(InputError, match="not a VATrack checkpoint"):
        load(foreign)
    with pytest.raises(InputError, match="no such checkpoint"):
        load(tmp_path / "missing.pt")


class _Harmful:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    target = tmp_path / "must-not-exist"
    path = tmp_path / "harmful.pt"
    path.write_bytes(pickle.dumps(_Harmful(target)))
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load(path)
    torch.save({"format": "vatrack-checkpoint-1", "model": _Harmful(target)}, path)
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load(path)
    assert not target.exists()
