"""Networks with the golden weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from tests.parity.golden import Case, recipe
from vatrack.config import Backbone, Method, ModelConfig
from vatrack.models.detector import Detector, build

# A folder for drawn tensors, where several processes of pytest share it.
drawn: list[Path] = []


@cache
def entry(name: str, shape: tuple[int, ...], override: tuple[float, ...] | None) -> torch.Tensor:
    """One tensor of the recipe: networks share most of theirs, and drawing one anew takes as long
    as computing with it."""
    overrides = None if override is None else {name: override}
    if not drawn:
        return torch.from_numpy(recipe().entry(name, shape, overrides))
    path = drawn[0] / f"{hashlib.sha256(repr((name, shape, override)).encode()).hexdigest()}.npy"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        with part.open("wb") as stream:
            np.save(stream, recipe().entry(name, shape, overrides))
        part.rename(path)
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def golden_weights(shapes: Mapping[str, Sequence[int]], backbone: str) -> dict[str, torch.Tensor]:
    """`weights` of the recipe, as tensors that nobody else has."""
    overrides = recipe().read_overrides(backbone)
    return {
        name: entry(
            name, tuple(shape), tuple(overrides[name]) if name in overrides else None
        ).clone()
        for name, shape in shapes.items()
    }


def golden_network(case: Case, settings: ModelConfig | None = None) -> Detector:
    """The network of a case with the weights of the recipe, in evaluation mode."""
    settings = settings or ModelConfig()
    with torch.device("meta"):
        model = build(Method(case.info["method"]), settings, Backbone(case.info["backbone"]))
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    model.load_state_dict(golden_weights(shapes, case.info["backbone"]), assign=True)
    model.roi_head.class_weights = torch.tensor(settings.weights)
    return model.eval()
