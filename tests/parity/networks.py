"""Networks with the golden weights."""

from __future__ import annotations

from functools import lru_cache

import torch

from tests.parity.golden import Case, recipe
from vatrack.config import Backbone, Method, ModelConfig
from vatrack.models.detector import Detector, build


@lru_cache(maxsize=1)
def _weights(
    backbone: str, names: tuple[tuple[str, tuple[int, ...]], ...]
) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(value)
        for name, value in recipe().weights(dict(names), backbone).items()
    }


def golden_network(case: Case, settings: ModelConfig | None = None) -> Detector:
    """The network of a case with the weights of the recipe, in evaluation mode."""
    settings = settings or ModelConfig()
    with torch.device("meta"):
        model = build(Method(case.info["method"]), settings, Backbone(case.info["backbone"]))
    names = tuple((name, tuple(value.shape)) for name, value in model.state_dict().items())
    model.load_state_dict(
        {k: v.clone() for k, v in _weights(case.info["backbone"], names).items()}, assign=True
    )
    model.roi_head.class_weights = torch.tensor(settings.weights)
    return model.eval()
