"""Checkpoint files in the form of published ones (spec 4.5, appendix B): names, left-overs, meta
data, optimizer state.

Every tensor holds one number, a different one for each, and is in memory and in the file as that
number alone. So the files of the largest networks are small, and a misplaced tensor is seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vatrack.config import Backbone, Method, ModelConfig, RunConfig
from vatrack.config.categories import CATEGORIES
from vatrack.models.detector import build
from vatrack.weights.openmmlab import import_checkpoint

FORMS = ("bare", "wrapped", "parallel", "legacy")


def filled(shapes: Mapping[str, tuple[list[int] | torch.Size, torch.dtype]]) -> dict[str, Tensor]:
    """Tensors of these shapes and types, the n-th full of n."""
    return {
        name: torch.tensor(number, dtype=dtype).expand(list(shape))
        for number, (name, (shape, dtype)) in enumerate(shapes.items(), start=1)
    }


def tensors(
    method: Method, backbone: Backbone, settings: ModelConfig | None = None
) -> dict[str, Tensor]:
    """All tensors of a method's network, without the left-overs."""
    with torch.device("meta"):
        model = build(method, settings or ModelConfig(), backbone)
    return filled({name: (value.shape, value.dtype) for name, value in model.state_dict().items()})


def left_overs() -> dict[str, Tensor]:
    """The buffers of another method that published checkpoints carry (quirk M2)."""
    return {f"mu{i}": torch.full((1,), 0.1).expand(1, 256, 30) for i in range(5)}


def plain_mask_rcnn(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A Mask R-CNN of COCO's 80 classes with the trunk of `weights`: no amodal heads, no track
    head."""
    outputs = {"fc_cls": (25, 81), "fc_reg": (96, 320), "conv_logits": (24, 80)}
    found = {}
    for name, value in weights.items():
        if "amodal_" in name or name.startswith(("roi_head.track_head", "mu")):
            continue
        ours, theirs = outputs.get(name.split(".")[-2], (0, 0))
        if ours:
            assert len(value) == ours, name
            value = value[:1].expand(theirs, *value.shape[1:])
        found[name] = value
    return found


def write_published(path: Path, weights: Mapping[str, Tensor], form: str) -> Path:
    """Writes a file: `bare`, `wrapped` with all that a training leaves beside it, `parallel` (names
    of
    DistributedDataParallel), `legacy` (wrapped, in PyTorch's form before 1.6)."""
    if form == "bare":
        torch.save(OrderedDict(weights), path)
        return path
    state: OrderedDict[str, Tensor] = OrderedDict(weights)
    if form == "parallel":
        state = OrderedDict((f"module.{name}", value) for name, value in weights.items())
    state._metadata = OrderedDict({"": {"version": 1}, "backbone": {"version": 2}})  # type: ignore[attr-defined]
    trained = [value for value in weights.values() if value.is_floating_point()]
    optimizer = {
        "state": {
            key: {"momentum_buffer": torch.zeros((), dtype=value.dtype).expand(value.shape)}
            for key, value in enumerate(trained)
        },
        "param_groups": [
            {"lr": 2.5e-05, "momentum": 0.9, "nesterov": False, "params": list(range(len(trained)))}
        ],
    }
    meta: dict[str, Any] = {
        "epoch": 12,
        "iter": 12345,
        "CLASSES": CATEGORIES,
        "PALETTE": None,
        "mmdet_version": "2.10.0+d4bf7c0",
        "config": "model = dict(\n    type='...')\n",
        "env_info": "sys.platform: linux\nGPU 0: A100",
        "seed": None,
        "time": "Thu Jul  1 12:00:00 2021",
        "hook_msgs": {
            "best_score": np.float64(0.263),
            "best_epoch": np.int64(11),
            "last": np.bool_(True),
        },
    }
    content = {"meta": meta, "state_dict": state, "optimizer": optimizer}
    torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    return path


def imported(
    folder: Path, weights: Mapping[str, Tensor], run: RunConfig, form: str = "bare", **settings: Any
) -> str:
    """What the import of such a file, x.pth in the folder, into out.pt says."""
    source = write_published(folder / "x.pth", weights, form)
    return str(import_checkpoint(source, run, folder / "out.pt", **settings))
