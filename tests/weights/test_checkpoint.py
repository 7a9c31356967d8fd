"""Checkpoints: round trip, and what a wrong file says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.weights.conftest import run_of
from vatrack.common.errors import InputError
from vatrack.config import Method, RunConfig
from vatrack.models.detector import build
from vatrack.weights.checkpoint import FORMAT, load, restored
from vatrack.weights.export import export
from vatrack.weights.formats import read_file


def test_round_trip(saved: Path) -> None:
    run = run_of(Method.VATRACK)
    checkpoint = load(saved)
    before = torch.get_rng_state()
    model = restored(checkpoint, run, saved)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(
        value.data_ptr() == checkpoint.weights[name].data_ptr()
        for name, value in model.state_dict().items()
    ), "no memory is taken twice"
    torch.manual_seed(1)
    original = build(run.method, run.model, run.backbone)
    assert checkpoint.epoch == 3
    for name, value in model.state_dict().items():
        assert torch.equal(value, original.state_dict()[name]), name
    assert torch.equal(model.roi_head.class_weights, original.roi_head.class_weights)
    assert [path.name for path in saved.parent.iterdir()] == ["epoch_03.pt"], (
        "no temporary file is left"
    )


def test_the_keys_of_a_file_are_documented(saved: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"PyTorch files with seven keys:(.*?)\. `vatrack export`", page, re.DOTALL)
    keys = list(read_file(saved, "checkpoint"))
    assert [name for name in re.findall(r"`([^`]+)`", told) if name != FORMAT] == keys
    assert len(keys) == 7 and f"(`{FORMAT}`)" in told


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (
            run_of(Method.QDTRACK),
            r"epoch_03\.pt: a checkpoint of method vatrack, not qdtrack; use --method vatrack",
        ),
        (
            run_of(Method.VATRACK, box_head_channels=24),
            "the checkpoint has a different model configuration.*bbox_head.*24 expected",
        ),
        (run_of(Method.VATRACK, anchor_scale=4.0), r"trained with model\.anchor_scale = 8"),
        (run_of(Method.VATRACK, norm_groups=4), r"trained with model\.norm_groups = 8"),
    ],
    ids=["method", "width", "anchor_scale", "norm_groups"],
)
def test_another_network_is_refused_with_the_difference(
    run: RunConfig, told: str, saved: Path
) -> None:
    """Also where no shape shows it."""
    with pytest.raises(InputError, match=told):
        restored(load(saved), run, saved)


def test_cut_off_foreign_and_missing_files(saved: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pt"
    cut.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut\.pt: not a readable checkpoint"):
        load(cut)
    foreign = tmp_path / "foreign.pt"
    torch.save({"state_dict": {}}, foreign)
    with pytest.raises(InputError, match="not a VATrack checkpoint"):
        load(foreign)
    with pytest.raises(InputError, match="no such checkpoint"):
        load(tmp_path / "missing.pt")


def test_damaged_and_foreign_safetensors(saved: Path, tmp_path: Path) -> None:
    export(saved, tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    path = tmp_path / "x.safetensors"
    for length in (9, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"x\.safetensors: not a readable checkpoint"):
            load(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"x\.safetensors: not a VATrack checkpoint"):
        load(path)
    with safe_open(tmp_path / "whole.safetensors", framework="pt") as stream:
        metadata = stream.metadata()
    for change in (
        {"config": "{"},
        {"epoch": "last"},
        {"method": "other"},
        {"backbone": "vgg"},
        {"config": None},
    ):
        older = {key: value for key, value in metadata.items() if key != "checksum"}
        kept = {key: value for key, value in (older | change).items() if value is not None}
        save_file({"a": torch.zeros(2)}, path, kept)
        with pytest.raises(InputError, match=r"x\.safetensors: damaged checkpoint"):
            load(path)
    (tmp_path / "cut.pt").write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        export(tmp_path / "cut.pt", tmp_path / "no.safetensors")
    assert not (tmp_path / "no.safetensors").exists()


@pytest.mark.parametrize(
    "change", [{"epoch": None}, {"method": 3}, {"model": {"a": 1}}, {"model": [1]}, {"config": 7}]
)
def test_a_checkpoint_whose_values_are_wrong_is_damaged(
    change: dict, saved: Path, tmp_path: Path
) -> None:
    content = torch.load(saved, weights_only=True)
    del content["checksum"]
    torch.save(content | change, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: (damaged checkpoint|.* is a int, not a tensor)"):
        load(tmp_path / "x.pt")
