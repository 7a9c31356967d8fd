"""What a published checkpoint's user types: import, predict at once, hand the weights on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.command import Command
from tests.conftest import TinyData, tiny_config
from tests.models.small import small_network
from tests.weights.published import left_overs, write_published
from vatrack.common.files import write_yaml
from vatrack.config import Method


@pytest.mark.parametrize(
    "method", [pytest.param(Method.QDTRACK, marks=pytest.mark.slow), Method.VATRACK_2BBOX]
)
def test_import_predict_export_predict(
    method: Method, tiny_data: TinyData, tmp_path: Path, vatrack: Command
) -> None:
    config = tmp_path / "config.yaml"
    write_yaml(config, tiny_config(tmp_path).model_dump(mode="json"))
    weights = small_network(method, seed=3).state_dict()
    source = write_published(tmp_path / "best_ckpts.pth", left_overs() | dict(weights), "legacy")
    chosen = ("--config", config, "--method", method, "--backbone", "resnet18")

    def predict(checkpoint: Path, out: Path) -> bytes:
        data = (
            "--ground-truth",
            tiny_data.annotations / "valid" / "joint.json",
            "--images",
            tiny_data.images,
        )
        code, _, errors = vatrack(
            "predict", "--checkpoint", checkpoint, *chosen, *data, "--out", out
        )
        assert (code, errors) == (0, "")
        return out.read_bytes()

    imported, released = tmp_path / "imported.pt", tmp_path / "weights.safetensors"
    assert vatrack("import-checkpoint", source, *chosen, "--out", imported)[0] == 0
    code, shown, _ = vatrack("export", "--checkpoint", imported, "--out", released)
    assert code == 0
    assert shown.startswith(f"{released}: {method} with resnet18, epoch 12, ")
    first = predict(imported, tmp_path / "first.jsonl")
    assert first.count(b"\n") > 5
    assert predict(released, tmp_path / "second.jsonl") == first
    # A name that says nothing is as good.
    released.rename(tmp_path / "best.pt")
    torch.manual_seed(99)
    assert predict(tmp_path / "best.pt", tmp_path / "third.jsonl") == first
