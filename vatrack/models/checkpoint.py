"""Checkpoints: plain tensors and values in one file, loaded without executing anything in it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vatrack.config import Backbone, Method, RunConfig
from vatrack.errors import InputError
from vatrack.files import atomic_path

FORMAT = "vatrack-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """Weights of one epoch and what they belong to."""

    method: Method
    backbone: Backbone
    epoch: int
    config: dict[str, Any]
    weights: dict[str, Tensor]


def read_torch_file(path: Path, what: str) -> Any:
    """The plain values and tensors of a PyTorch file, on the CPU; nothing in it is executed.

    Args:
        what: how messages call such a file.

    Raises:
        InputError: the file is missing, cut off, or holds more than plain values and tensors.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such {what}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable {what} ({reason}); it may be cut off or of another program") from None


def save(path: Path, model: nn.Module, run: RunConfig, epoch: int) -> None:
    """Writes a checkpoint, whole or not at all; tensors are stored on the CPU."""
    content = {
        "format": FORMAT,
        "method": str(run.method),
        "backbone": str(run.backbone),
        "epoch": epoch,
        "config": run.model_dump(mode="json"),
        "model": {name: value.detach().cpu() for name, value in model.state_dict().items()},
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        InputError: the file is missing, cut off, or not one of ours.
    """
    content = read_torch_file(path, "checkpoint")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: not a VATrack checkpoint (its format is not {FORMAT!r})")
    return Checkpoint(
        Method(content["method"]), Backbone(content["backbone"]), content["epoch"], content["config"], content["model"]
    )


def restore(model: nn.Module, checkpoint: Checkpoint, run: RunConfig, source: Path) -> None:
    """Copies the weights into a network of the same method, backbone and widths.

    Raises:
        InputError: the checkpoint belongs to another method, backbone or model configuration.
    """
    for name, own, wanted in (
        ("method", checkpoint.method, run.method),
        ("backbone", checkpoint.backbone, run.backbone),
    ):
        if own != wanted:
            raise InputError(f"{source}: a checkpoint of {name} {own}, but {wanted} was asked for; choose --{name} {own}")
    expected = {name: value.shape for name, value in model.state_dict().items()}
    found = {name: value.shape for name, value in checkpoint.weights.items()}
    if expected != found:
        different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise InputError(
            f"{source}: made with another model configuration; {len(different)} entries differ, the first is {different[0]} "
            f"({_shape(found.get(different[0]))} in the file, {_shape(expected.get(different[0]))} wanted); "
            "use the config of its run"
        )
    model.load_state_dict(checkpoint.weights)


def _shape(shape: torch.Size | None) -> str:
    return "nothing" if shape is None else "x".join(map(str, shape)) or "a number"
