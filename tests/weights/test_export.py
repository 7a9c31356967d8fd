"""Weights to be handed on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tests.weights.conftest import run_of
from vatrack.common.errors import InputError
from vatrack.config import Backbone, Config, Method, RunConfig, parse_config
from vatrack.weights.checkpoint import load, public_config, restored, write
from vatrack.weights.export import export
from vatrack.weights.openmmlab import import_checkpoint

PAIR = (Method.VATRACK, Backbone.RESNET18)


def test_export_keeps_every_bit_and_is_read_like_any_checkpoint(
    saved: Path, tmp_path: Path
) -> None:
    out = tmp_path / "released" / "weights.safetensors"
    text = str(export(saved, out))
    assert text.startswith(f"{out}: vatrack with resnet18, epoch 3, ")
    original, released = load(saved), load(out)
    assert (released.method, released.backbone, released.epoch) == (
        original.method,
        original.backbone,
        3,
    )
    assert original.config == run_of(Method.VATRACK).model_dump(mode="json")
    assert released.config == public_config(original.config)
    assert released.weights.keys() == original.weights.keys()
    for name, value in original.weights.items():
        assert released.weights[name].dtype == value.dtype
        assert torch.equal(released.weights[name], value), name
    assert [path.name for path in out.parent.iterdir()] == ["weights.safetensors"]
    run = run_of(Method.VATRACK)
    model = restored(released, run, out)
    assert all(
        torch.equal(value, original.weights[name]) for name, value in model.state_dict().items()
    )
    export(out, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == out.read_bytes(), (
        "also under another name, and of an exported file"
    )


@pytest.mark.parametrize("config", [run_of(Method.VATRACK), Config().for_run(*PAIR)])
def test_our_own_files_need_no_import(saved: Path, tmp_path: Path, config: RunConfig) -> None:
    """Whether or not the widths are those of the config that is given."""
    export(saved, exported := tmp_path / "v.safetensors")
    for source in (saved, exported):
        with pytest.raises(InputError, match=r"is a checkpoint of vatrack already, .*; use it as"):
            import_checkpoint(source, config, tmp_path / "new.pt")
    assert not list(tmp_path.glob("new.*"))


@pytest.mark.parametrize("name", ["v.pt", "v", "v.safetensors.gz"])
def test_another_ending_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    """A .pt file in which safetensors are would be a riddle to who opens it, and so the reverse."""
    with pytest.raises(InputError, match=rf"{name}: .*; its name must end in \.safetensors$"):
        export(saved, tmp_path / name)
    with pytest.raises(
        InputError, match=r"v\.safetensors: .*; its name must end in \.pt or \.pth$"
    ):
        import_checkpoint(saved, run_of(Method.VATRACK), tmp_path / "v.safetensors")
    assert not (tmp_path / name).exists()


def test_an_exported_file_says_what_it_is_and_is_the_same_each_time(
    saved: Path, tmp_path: Path
) -> None:
    for number in range(6):
        export(saved, tmp_path / f"{number}.safetensors")
    with safe_open(tmp_path / "0.safetensors", framework="pt") as stream:
        metadata = stream.metadata()
    assert {key: metadata[key] for key in ("format", "method", "backbone", "epoch")} == {
        "format": "vatrack-checkpoint-1",
        "method": "vatrack",
        "backbone": "resnet18",
        "epoch": "3",
    }
    config = parse_config(json.loads(metadata["config"]), "metadata", RunConfig)
    assert (config.model, config.training) == (
        run_of(Method.VATRACK).model,
        run_of(Method.VATRACK).training,
    )
    assert len({(tmp_path / f"{number}.safetensors").read_bytes() for number in range(6)}) == 1


def test_an_exported_config_says_nothing_about_the_machine(tmp_path: Path) -> None:
    run = parse_config(
        {
            "results": "/data/secret/results",
            "dataset": {
                "name": "sailvos",
                "raw": "/data/secret/raw",
                "train_json": "/data/secret/train.json",
            },
            "training": {
                "weights": "/data/secret/coco.pth",
                "weights_urls": ["https://secret/coco-01234567.pth"],
                "epochs": 3,
            },
            "launcher": {"account": "secret", "partition": "secret"},
            "mlflow": {"tracking_uri": "https://me:secret@host"},
        },
        "test",
        Config,
    ).for_run(Method.VATRACK, Backbone.RESNET18)
    write(tmp_path / "x.pt", {"a": torch.zeros(2)}, run, 1)
    export(tmp_path / "x.pt", tmp_path / "x.safetensors")
    assert b"secret" not in (tmp_path / "x.safetensors").read_bytes()
    config = load(tmp_path / "x.safetensors").config
    assert (config["training"]["weights"], config["training"]["epochs"]) == (
        "coco.pth",
        3,
    )
    assert config["dataset"]["name"] == "sailvos"
    assert parse_config(config, "exported", RunConfig).model == run.model, "still a config"


def test_entries_that_share_memory_are_exported(tmp_path: Path) -> None:
    run = run_of(Method.QDTRACK)
    shared = torch.arange(12.0)
    weights = {"a": shared, "b": shared.view(3, 4).T, "c": shared[2:5], "d": shared[:1].expand(4)}
    write(tmp_path / "x.pt", weights, run, 1)
    export(tmp_path / "x.pt", tmp_path / "x.safetensors")
    found = load(tmp_path / "x.safetensors").weights
    assert all(torch.equal(found[name], value) for name, value in weights.items())
