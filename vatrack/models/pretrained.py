"""Initial weights from files: a backbone in torchvision's format, or whatever fits of another detector (spec 3.9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vatrack.errors import InputError
from vatrack.models.backbone import ResidualTrunk
from vatrack.models.checkpoint import read_torch_file

CLASSIFIER = ("fc.weight", "fc.bias")


@dataclass(frozen=True)
class Transfer:
    """What went where: names of entries that were copied, that have another shape, and that were not used."""

    copied: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.copied)} entries copied"]
        for title, names in (("of another shape, left as they were", self.mismatched), ("not used", self.unused)):
            if names:
                shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
                lines.append(f"{len(names)} {title}: {shown}")
        return "; ".join(lines)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a file of PyTorch, bare or under "state_dict" or "model", without executing anything in it.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    content = read_torch_file(path, "file of weights")
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise InputError(f"{path}: holds no tensors by name, so it is not a file of weights")
    return content


def load_backbone(trunk: ResidualTrunk, path: Path) -> Transfer:
    """Copies ImageNet weights into a trunk; every entry of the trunk must be there (the published code matches none, quirk M3).

    Raises:
        InputError: the file is of another backbone, or of another kind of norm.
    """
    weights = {name: value for name, value in read_weights(path).items() if name not in CLASSIFIER}
    wanted = trunk.state_dict()
    missing = [name for name in wanted if name not in weights and not name.endswith("num_batches_tracked")]
    wrong = [name for name, value in weights.items() if name in wanted and wanted[name].shape != value.shape]
    if missing or wrong:
        raise InputError(
            f"{path}: not the weights of this backbone; {len(missing)} entries are missing and {len(wrong)} have another "
            f"shape, the first is {(missing + wrong)[0]}; check the backbone and model.norm"
        )
    return _copy(trunk, weights)


def load_initial(model: nn.Module, path: Path) -> Transfer:
    """Copies every tensor whose name and shape fit, as the published non-strict loading does (quirk M5).

    Raises:
        InputError: nothing fits.
    """
    transfer = _copy(model, read_weights(path))
    if not transfer.copied:
        raise InputError(f"{path}: no entry fits this network; is it a checkpoint of a detector with a feature pyramid?")
    return transfer


@torch.no_grad()
def _copy(module: nn.Module, weights: Mapping[str, Tensor]) -> Transfer:
    own = module.state_dict()
    copied = [name for name, value in weights.items() if name in own and own[name].shape == value.shape]
    for name in copied:
        own[name].copy_(weights[name])
    mismatched = [name for name in weights if name in own and name not in copied]
    return Transfer(tuple(copied), tuple(mismatched), tuple(name for name in weights if name not in own))
