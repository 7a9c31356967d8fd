"""Initial weights of every tensor group (spec 3.9)."""

from __future__ import annotations

import math

import pytest
import torch

from vatrack.config import Backbone, Method, ModelConfig
from vatrack.models.detector import Detector, build


def _network(method: Method, mode: str) -> Detector:
    torch.manual_seed(0)
    return build(method, ModelConfig(initialisation=mode), Backbone.RESNET18)


def _std(model: Detector, name: str) -> float:
    return model.state_dict()[f"roi_head.{name}.weight"].std().item()


INTENDED = {"fc_cls": 0.01, "fc_reg": 0.001, "upsample": math.sqrt(2 / 1024), "conv_logits": math.sqrt(2 / 24)}
DEFAULT = {"fc_cls": 1 / math.sqrt(3 * 1024), "fc_reg": 1 / math.sqrt(3 * 1024)}
DEFAULT |= {"upsample": 1 / math.sqrt(3 * 1024), "conv_logits": 1 / math.sqrt(3 * 256)}
BOX, MASK = ("fc_cls", "fc_reg"), ("upsample", "conv_logits")


@pytest.mark.parametrize(
    ("method", "mode", "head", "expected"),
    [
        (Method.QDTRACK, "reference", "bbox_head", INTENDED),
        (Method.QDTRACK, "reference", "mask_head", INTENDED),
        (Method.VATRACK, "reference", "bbox_head", DEFAULT),
        (Method.VATRACK, "reference", "mask_head", DEFAULT),
        (Method.VATRACK, "reference", "amodal_mask_head", DEFAULT),
        (Method.VATRACK, "intended", "bbox_head", INTENDED),
        (Method.VATRACK, "intended", "amodal_mask_head", INTENDED),
        (Method.VATRACK_2BBOX, "reference", "bbox_head", DEFAULT),
        (Method.VATRACK_2BBOX, "reference", "mask_head", DEFAULT),
        (Method.VATRACK_2BBOX, "reference", "amodal_bbox_head", INTENDED),
        (Method.VATRACK_2BBOX, "reference", "amodal_mask_head", INTENDED),
    ],
)
def test_spread_of_the_heads(method: Method, mode: str, head: str, expected: dict[str, float]) -> None:
    model = _network(method, mode)
    for name in BOX if head.endswith("bbox_head") else MASK:
        assert _std(model, f"{head}.{name}") == pytest.approx(expected[name], rel=0.05), name


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
    assert all(name.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer1")) for name in frozen)
    assert model.backbone.layer2[0].bn1.weight.requires_grad
