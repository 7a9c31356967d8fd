"""Initial weights of every group of layers (spec 3.9)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from vatrack.config import Backbone, Method, ModelConfig
from vatrack.models.detector import Detector, build


def _network(method: Method, mode: str) -> Detector:
    torch.manual_seed(0)
    return build(method, ModelConfig(initialisation=mode), Backbone.RESNET18)


def _kaiming_normal(outputs: int, kernel: int) -> float:
    return math.sqrt(2 / (outputs * kernel * kernel))


def _xavier_uniform(inputs: int, outputs: int, kernel: int = 1) -> float:
    return math.sqrt(2 / ((inputs + outputs) * kernel * kernel))


def _torch_default(inputs: int, kernel: int = 1) -> float:
    """U(+-1 / sqrt(fan in))."""
    return 1 / math.sqrt(3 * inputs * kernel * kernel)


# Standard deviation of the weights of each layer, intended and torch's default; biases are 0 where
# intended.
BOX = {
    "shared_fcs.0": (_xavier_uniform(12544, 1024), _torch_default(12544)),
    "shared_fcs.1": (_xavier_uniform(1024, 1024), _torch_default(1024)),
    "fc_cls": (0.01, _torch_default(1024)),
    "fc_reg": (0.001, _torch_default(1024)),
}
MASK = {
    "upsample": (_kaiming_normal(256, 2), _torch_default(256, 2)),
    "conv_logits": (_kaiming_normal(24, 1), _torch_default(256)),
}
ALWAYS = {
    "neck.lateral_convs.3.conv": _xavier_uniform(512, 256),
    "neck.fpn_convs.0.conv": _xavier_uniform(256, 256, 3),
    "rpn_head.rpn_conv": 0.01,
    "rpn_head.rpn_cls": 0.01,
    "rpn_head.rpn_reg": 0.01,
    "backbone.layer3.1.conv1": _kaiming_normal(256, 3),
    "roi_head.track_head.convs.2.conv": _kaiming_normal(256, 3),
    "roi_head.track_head.fcs.0": _xavier_uniform(12544, 1024),
    "roi_head.track_head.fc_embed": 0.01,
}


@pytest.mark.parametrize("mode", ["reference", "intended"])
@pytest.mark.parametrize(
    ("method", "shadowed"),
    [
        (Method.QDTRACK, []),
        (Method.AMODALTRACK, []),
        (Method.VATRACK, ["bbox_head", "mask_head", "amodal_mask_head"]),
        (Method.VATRACK_2BBOX, ["bbox_head", "mask_head"]),
    ],
)
def test_spread_and_biases_of_every_group(method: Method, mode: str, shadowed: list[str]) -> None:
    """The table of spec 3.9, and in the other mode everything as intended."""
    model = _network(method, mode)
    expected = {name: (std, False) for name, std in ALWAYS.items()}
    layout = model.roi_head.layout
    for head in [*layout.boxes.values(), *(name for name, _ in layout.masks.values())]:
        default = mode == "reference" and head in shadowed
        for layer, stds in (BOX if head.endswith("bbox_head") else MASK).items():
            expected[f"roi_head.{head}.{layer}"] = stds[default], default
        if head.endswith("mask_head"):
            expected[f"roi_head.{head}.convs.1.conv"] = _kaiming_normal(256, 3), False
    for name, (std, has_biases) in expected.items():
        module: Any = model.get_submodule(name)
        assert module.weight.std().item() == pytest.approx(std, rel=0.08), name
        if module.bias is not None:
            assert bool(module.bias.any()) == has_biases, name


def test_last_norm_of_each_block_starts_at_zero_and_the_rest_at_one() -> None:
    model = _network(Method.QDTRACK, "reference")
    state = model.backbone.state_dict()
    assert all(bool((state[f"layer{i}.1.bn2.weight"] == 0).all()) for i in range(1, 5))
    assert bool((state["layer1.0.bn1.weight"] == 1).all())


def test_batch_norm_stays_in_evaluation_and_frozen_stages_without_gradient() -> None:
    model = _network(Method.QDTRACK, "reference").train()
    norms = [m for m in model.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(
        name.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer1")) for name in frozen
    )
    assert model.backbone.layer2[0].bn1.weight.requires_grad
