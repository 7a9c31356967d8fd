"""Weights to be handed on: a checkpoint as a safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from vatrack.common.files import atomic_path, check_target, refuse_same_file, require_ending
from vatrack.config import Backbone, Method
from vatrack.weights.checkpoint import FORMAT, load, public_config
from vatrack.weights.checksum import KEY, checksum
from vatrack.weights.formats import full_disk

ENDING = ".safetensors"


@dataclass(frozen=True)
class Exported:
    """What `export` wrote."""

    out: Path
    method: Method
    backbone: Backbone
    epoch: int
    size: int  # bytes

    def __str__(self) -> str:
        return (
            f"{self.out}: {self.method} with {self.backbone}, epoch {self.epoch}, "
            f"{self.size / 1e6:.1f} MB"
        )


def export(path: Path, out: Path) -> Exported:
    """Writes a checkpoint as a safetensors file, with everything but the tensors in its metadata.

    The metadata holds, as texts: format, method, backbone, epoch, a checksum, and config as JSON,
    without what belongs to a machine (`public_config`). The same checkpoint always gives the same
    bytes.

    Raises:
        InputError: see `load`; or `out` is the checkpoint itself, or has another ending than
            .safetensors.
        OSError: the disk is full, or the like; nothing is left at `out` then.
    """
    refuse_same_file(out, path)
    require_ending(out, "the export is a safetensors file", ENDING)
    check_target(out)
    checkpoint = load(path)
    # Own memory for each: the format knows neither views nor shared memory.
    weights = {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in checkpoint.weights.items()
    }
    metadata = {
        "format": FORMAT,
        "method": str(checkpoint.method),
        "backbone": str(checkpoint.backbone),
        "epoch": str(checkpoint.epoch),
        "config": json.dumps(public_config(checkpoint.config)),
    }
    metadata[KEY] = checksum({**metadata, "model": weights})
    with atomic_path(out) as temporary:
        with full_disk(out):
            save_file(weights, temporary, metadata)
        _order_metadata(temporary)
    return Exported(
        out, checkpoint.method, checkpoint.backbone, checkpoint.epoch, out.stat().st_size
    )


def _order_metadata(path: Path) -> None:
    """Sorts the metadata of a safetensors file in place; the library writes it in an order that
    changes from run to run."""
    with path.open("r+b") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        stream.seek(8)
        stream.write(text.ljust(length))
