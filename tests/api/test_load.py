"""Predictors from files of weights."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.api.stub import settings
from tests.api.test_predictor import foreign, frames, same
from tests.models.small import small_network
from tests.weights.published import tensors, write_published
from vatrack.api.load import load
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Method
from vatrack.config.categories import CATEGORIES
from vatrack.weights.checkpoint import save
from vatrack.weights.export import export


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, marks=[pytest.mark.slow] if method is not Method.VATRACK_2BBOX else [])
        for method in Method
    ],
)
def test_every_method_is_loaded_from_a_checkpoint_and_safetensors(
    method: Method, tmp_path: Path
) -> None:
    path, out = tmp_path / "best.pt", tmp_path / "exported.safetensors"
    save(path, small_network(method), settings(method), 3)
    export(path, out)
    results = [list(load(file, device="cpu").track(frames(3), score=0)) for file in (path, out)]
    assert all(map(same, *results)) and any(len(result) for result in results[0])
    predictor = load(out, device=torch.device("cpu", 0), method=str(method), backbone="resnet18")
    assert predictor.run.compute.device == "cpu"
    assert predictor.method == str(method) and set(predictor.mask_types) == set(method.masks)
    for result in results[0]:
        assert set(result.rles) == set(method.masks)
        assert result.plot(frames(1)[0]).shape == (48, 64, 3)
        assert (result.visible_boxes is not None) == (method is Method.VATRACK_2BBOX)


@pytest.mark.parametrize("method", [Method.VATRACK, Method.QDTRACK])
def test_a_published_file_is_recognised(method: Method, tmp_path: Path) -> None:
    path = write_published(tmp_path / "epoch_12.pth", tensors(method, Backbone.RESNET18), "wrapped")
    if method is Method.QDTRACK:
        with pytest.raises(InputError, match="--method qdtrack or --method amodaltrack"):
            load(path)
    predictor = load(path, device="cpu", method="qdtrack" if method is Method.QDTRACK else None)
    assert (predictor.method, str(predictor.run.backbone)) == (str(method), "resnet18")
    with pytest.raises(InputError, match=r"epoch_12\.pth"):
        load(path, method="vatrack-2bbox")


def test_what_an_import_says_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("vatrack"), "propagate", True)
    caplog.set_level(logging.INFO, "vatrack")
    weights = tensors(Method.VATRACK, Backbone.RESNET18)
    names = ["robot", *CATEGORIES[1:]]
    path = tmp_path / "epoch_12.pth"
    torch.save({"ema_state_dict": weights, "meta": {"CLASSES": names}}, path)
    load(path, device="cpu")
    told = {record.levelname: record.message for record in caplog.records}
    assert told["INFO"] == f"{path}: taking the weights from 'ema_state_dict' in the file"
    assert told["WARNING"].startswith(f"{path}: the file has different names for 1 class, first: ")


def test_a_published_file_with_running_means_or_a_prefix(tmp_path: Path) -> None:
    plain = tensors(Method.VATRACK, Backbone.RESNET18)
    means = {f"ema_{name.replace('.', '_')}": value + 1 for name, value in plain.items()}
    path = write_published(tmp_path / "means.pth", plain | means, "wrapped")
    first, second = (
        load(path, device="cpu", key=key).model.roi_head.track_head.fc_embed.bias
        for key in (None, "ema_")
    )
    assert torch.equal(first + 1, second)
    path = write_published(tmp_path / "module.pth", plain, "parallel")
    assert load(path, device="cpu").method == "vatrack"


def test_bad_checkpoints(checkpoint: Path, tmp_path: Path) -> None:
    text, other = tmp_path / "notes.pt", tmp_path / "other.pt"
    text.write_text("no weights")
    foreign(other)
    torch.save({"state_dict": {"layer.weight": torch.ones(2)}}, tmp_path / "linear.pth")
    for path, given, message in (
        (tmp_path / "none.pt", {}, r"none\.pt"),
        (text, {}, r"notes\.pt"),
        (other, {}, r"other\.pt.*fc_cls"),
        (tmp_path / "linear.pth", {}, r"linear\.pth: contains no network of"),
        (tmp_path, {}, str(tmp_path)),
        (checkpoint, {"method": "qdtrack"}, "is a checkpoint of method vatrack, not qdtrack"),
        (checkpoint, {"backbone": "resnet50"}, "resnet50"),
        (checkpoint, {"method": "vatrac"}, "did you mean vatrack"),
        (checkpoint, {"largest_side": 8}, "32 to 8192"),
        (checkpoint, {"key": "ema"}, "without keys; remove --key"),
    ):
        with pytest.raises(InputError, match=f"(?s){message}"):
            load(path, device="cpu", **given)


def test_largest_side_and_half_precision(checkpoint: Path) -> None:
    small = load(checkpoint, device="cpu", largest_side=48)
    assert tuple(small.run.input.image_scale) == (48, 48)
    half = load(checkpoint, device="cpu", half=True)
    assert half.run.compute.precision == "mixed"
    exact = load(checkpoint, device="cpu")
    first, second, third = (next(item.track(frames(1), score=0)) for item in (small, half, exact))
    assert not np.array_equal(first.boxes, third.boxes)
    assert not np.array_equal(second.scores, third.scores)
