"""Layers with weights in oneDNN's order give what the ordinary ones give."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.models.small import SMALL
from vatrack.config import Backbone, ComputeConfig, Method
from vatrack.models import packed
from vatrack.models.backbone import ResidualTrunk
from vatrack.models.detector import build
from vatrack.models.packed import PackedConv2d, PackedLinear, available, pack
from vatrack.models.prepared import prepare

needs_operators = pytest.mark.skipif(not available(), reason="this PyTorch has no such operators")


def _close(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found, wanted, rtol=1e-4, atol=1e-5 * float(wanted.std()))


@needs_operators
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(32, 64, 1),
        nn.Conv2d(32, 64, 1, stride=2, bias=False),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.Conv2d(32, 32, 3, padding=1, stride=2, groups=8),
    ],
)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@torch.inference_mode()
def test_a_convolution_in_all_its_forms(layer: nn.Conv2d, order: torch.memory_format) -> None:
    """Also for another size than the first, which decided the order of the weights."""
    torch.manual_seed(0)
    found = PackedConv2d(layer)
    for images, height, width in ((1, 20, 30), (2, 9, 11)):
        x = torch.randn(images, 32, height, width).contiguous(memory_format=order)
        wanted = layer(x)
        assert _close(found(x), wanted)
        assert _close(found(x, relu=True), wanted.relu())
        assert found(x).is_contiguous(memory_format=order)
        total = torch.randn_like(wanted)
        with_total = (wanted + total).relu()
        last = torch.channels_last
        assert _close(
            found.add_to(*(t.contiguous(memory_format=last) for t in (total, x))), with_total
        )
        assert _close(found.blocked(x.contiguous().to_mkldnn()).to_dense(), wanted)


@needs_operators
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (PackedConv2d(nn.Conv2d(32, 32, 3, padding=1, groups=8)), (1, 32, 20, 30)),
        (PackedLinear(torch.ones(7, 9), None), (5, 9)),
    ],
)
def test_a_copy_gives_the_same_bits(
    layer: nn.Module, shape: tuple[int, ...], copied: Callable[[nn.Module], nn.Module]
) -> None:
    """Also one that is made after the first call, and a copy of a copy."""
    x = torch.linspace(-1, 1, math.prod(shape)).view(shape)
    unused = copied(layer)
    with torch.inference_mode():
        wanted = layer(x)
    for again in (unused, copied(layer), copied(copied(layer))):
        with torch.inference_mode():
            assert torch.equal(again(x), wanted)


@needs_operators
@torch.inference_mode()
def test_a_linear_layer() -> None:
    torch.manual_seed(0)
    for bias in (True, False):
        layer = nn.Linear(96, 40, bias=bias)
        found = PackedLinear(layer.weight, layer.bias)
        for rows in (0, 100, 7, 0, 1):
            x = torch.randn(rows, 96)
            assert found(x).shape == (rows, 40)
            assert torch.allclose(found(x), layer(x), atol=1e-5)
            assert torch.allclose(found(x, relu=True), layer(x).relu(), atol=1e-5)


@needs_operators
@pytest.mark.parametrize("backbone", list(Backbone))
@torch.inference_mode()
def test_a_trunk(backbone: Backbone) -> None:
    torch.manual_seed(0)
    network = ResidualTrunk(backbone).eval()
    prepared = prepare(network, ComputeConfig(), torch.device("cpu"))
    for size in ((1, 3, 64, 96), (2, 3, 96, 64)):
        x = torch.randn(size)
        before = x.clone()
        for wanted, found in zip(network(x), prepared(x), strict=True):
            assert found.shape == wanted.shape
            assert float((found - wanted).std() / wanted.std()) < 1e-5
        assert torch.equal(x, before)


@torch.inference_mode()
def test_without_the_operators_the_ordinary_layers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of PyTorch without them, or with others of these names."""
    model = build(Method.VATRACK, SMALL, Backbone.RESNET18).eval()
    monkeypatch.setattr(packed, "_errors", lambda: iter([torch.tensor(float("nan"))]))
    available.cache_clear()
    try:
        assert not available()
        unchanged = copy.deepcopy(model)
        pack(unchanged)
        assert [type(m) for m in unchanged.modules()] == [type(m) for m in model.modules()]
    finally:
        available.cache_clear()
