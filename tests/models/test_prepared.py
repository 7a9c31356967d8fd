"""The copy of a network that inference uses gives what the network itself gives."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.models.small import SMALL
from vatrack.config import Backbone, ComputeConfig, InferenceConfig, Method, ModelConfig
from vatrack.models.detector import Detector, build
from vatrack.models.mask_head import MaskHead
from vatrack.models.prepared import prepare
from vatrack.models.winograd import WinogradConv2d

CPU = torch.device("cpu")
IMAGE = torch.linspace(-2, 2, 3 * 96 * 128).reshape(1, 3, 96, 128).sin()


def network(norm: str, channels: int | None = None) -> Detector:
    settings = SMALL.model_copy(update={"norm": norm})
    if channels is not None:
        settings = ModelConfig(norm=norm).model_copy(update={"frozen_stages": 0})
    torch.manual_seed(3)
    model = build(Method.VATRACK, settings, Backbone.RESNET18)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):  # as after some training
            nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return model.eval()


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("winograd", [True, False])
@torch.inference_mode()
def test_features_are_those_of_the_network(norm: str, winograd: bool) -> None:
    model = network(norm)
    before = copy.deepcopy(model.state_dict())
    prepared = prepare(model, ComputeConfig(winograd=winograd), CPU)
    for wanted, found in zip(model.features(IMAGE), prepared.features(IMAGE), strict=True):
        assert torch.allclose(wanted, found, rtol=1e-4, atol=1e-4 * float(wanted.std()))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in prepared.modules())
    # The network itself stays as it was.
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(isinstance(layer, WinogradConv2d) for layer in model.modules())


@torch.inference_mode()
def test_a_network_of_full_width_takes_winograds_form() -> None:
    model = network("batch", 256)
    prepared = prepare(model, ComputeConfig(), CPU)
    assert sum(isinstance(layer, WinogradConv2d) for layer in prepared.modules()) > 10
    settings = InferenceConfig(score_threshold=0.0, max_detections=20)
    arguments = (IMAGE, [(96, 128)], torch.ones(1, 4), settings)
    (wanted,), _ = model.detect(*arguments)
    (found,), _ = prepared.detect(*arguments)
    assert len(wanted.scores) == len(found.scores) == 20
    # An untrained network's scores nearly tie, so only their values are compared, not their order.
    assert torch.allclose(wanted.scores.sort().values, found.scores.sort().values, atol=1e-4)


@torch.inference_mode()
def test_masks_are_the_planes_of_their_labels() -> None:
    torch.manual_seed(3)
    head = MaskHead(24, 8, 16, 2)
    regions = torch.randn(7, 8, 14, 14)
    labels = torch.tensor([0, 5, 23, 5, 1, 2, 3])
    whole = head(regions)[torch.arange(7), labels]
    assert torch.allclose(head.planes(regions, labels), whole, atol=1e-5)
    assert head.planes(regions[:0], labels[:0]).shape == (0, 28, 28)


@torch.inference_mode()
def test_short_weights_are_rounded_once() -> None:
    model = network("batch")
    prepared = prepare(model, ComputeConfig(precision="bfloat16"), CPU)
    kinds = {
        type(layer).__name__: layer.weight.dtype
        for layer in prepared.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    assert set(kinds.values()) == {torch.bfloat16}
    with torch.autocast("cpu", torch.bfloat16):
        rounded, direct = prepared.features(IMAGE), model.features(IMAGE)
    for first, second in zip(rounded, direct, strict=True):
        assert float((first.float() - second.float()).std() / second.float().std()) < 0.03
