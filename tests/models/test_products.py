"""Layers computed as products of matrices against the ordinary ones."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.models.small import assert_trains_alike, small_network
from vatrack.config import ComputeConfig, Method
from vatrack.models import products
from vatrack.models.prepared import prepare
from vatrack.models.products import (
    PointwiseConv2d,
    PointwiseConvTranspose2d,
    ProductLinear,
    add_products,
    product,
    use_products,
)
from vatrack.training.start import placed

LAYERS = [
    (nn.Linear(96, 40), (30, 96)),
    (nn.Linear(24, 200, bias=False), (30, 24)),
    (nn.Conv2d(32, 48, 1), (2, 32, 9, 13)),
    (nn.Conv2d(48, 16, 1, bias=False), (1, 48, 20, 7)),
    (nn.Conv2d(32, 48, 1, stride=2, bias=False), (2, 32, 9, 13)),
    (nn.ConvTranspose2d(32, 24, 2, stride=2), (3, 32, 14, 14)),
    (nn.ConvTranspose2d(32, 24, (3, 2), stride=(3, 2), bias=False), (1, 32, 5, 7)),
]
CLASSES = ProductLinear | PointwiseConv2d | PointwiseConvTranspose2d
ORDERS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(params=["oneDNN", "PyTorch"])
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of computing a product, on any processor."""
    monkeypatch.setattr(products, "available", lambda: request.param == "oneDNN")


def _made(layer: nn.Module) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = copy.deepcopy(layer)
    network = nn.Sequential(copy.deepcopy(layer))
    use_products(network)
    assert isinstance(network[0], CLASSES)
    return plain, network[0]


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("order", ORDERS, ids=["columns_last", "channels_last"])
@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_outputs_and_gradients_are_those_of_the_exact_layer(
    layer: nn.Module, shape: tuple[int, ...], order: torch.memory_format
) -> None:
    plain, faster = _made(layer)
    x = torch.randn(shape)
    if len(shape) == 4:
        x = x.contiguous(memory_format=order)
        faster.to(memory_format=order)
    x.requires_grad_()
    exact = plain.double()(x.double())
    gradient = torch.randn(exact.shape)
    wanted = torch.autograd.grad(exact, (x, *plain.parameters()), gradient.double())
    output = faster(x)
    found = torch.autograd.grad(output, (x, *faster.parameters()), gradient)
    single = x[0].detach() if isinstance(layer, nn.Linear) else x[:1].detach()
    assert faster(single).shape == plain(single.double()).shape
    for value, expected in zip((output, *found), (exact, *wanted), strict=True):
        assert value.shape == expected.shape
        torch.testing.assert_close(value, expected.to(value.dtype), rtol=1e-5, atol=2e-5)


def test_trainings_and_predictions_use_them() -> None:
    cpu = torch.device("cpu")
    network = small_network(Method.VATRACK)
    for winograd in (False, True):
        compute = ComputeConfig(winograd=winograd)
        ready = prepare(copy.deepcopy(network), compute, cpu)
        for used in (placed(copy.deepcopy(network), compute, cpu), ready):
            assert isinstance(used.rpn_head.rpn_cls, PointwiseConv2d) is winograd


@pytest.mark.usefixtures("_library")
def test_what_comes_out_can_be_changed_in_place() -> None:
    """As by the ReLU behind a layer."""
    _, faster = _made(nn.Conv2d(16, 16, 1))
    faster(torch.randn(1, 16, 4, 4)).relu_().sum().backward()
    assert faster.get_parameter("weight").grad is not None


@pytest.mark.usefixtures("_library")
def test_gradients_lie_in_memory_as_the_weights_do() -> None:
    """Or DDP warns and copies; also those of a layer that is used more than once, as the RPN's."""
    _, faster = _made(nn.Conv2d(16, 12, 1))
    faster.to(memory_format=torch.channels_last)
    x = torch.randn(2, 16, 5, 5)
    (faster(x).square().sum() + faster(2 * x).square().sum()).backward()
    weight = faster.get_parameter("weight")
    assert weight.grad is not None and weight.grad.stride() == weight.stride()


@pytest.mark.usefixtures("_library")
def test_matrices_with_gaps_in_memory() -> None:
    left, right = torch.randn(20, 3, 30)[:, 1], torch.randn(30, 2, 24)[:, 0]
    exact = (left.double() @ right.double()).float()
    for a, b in ((left, right), (left.t().contiguous().t(), right.t().contiguous().t())):
        torch.testing.assert_close(product(a, b), exact, rtol=1e-5, atol=2e-5)


@pytest.mark.usefixtures("_library")
def test_products_are_added() -> None:
    left, right = torch.randn(2, 4, 20, 30), torch.randn(2, 4, 30, 24)
    total = add_products(None, left[0], right[0])
    assert add_products(total, left[1], right[1]) is total
    exact = (left.double() @ right.double()).sum(0).float()
    torch.testing.assert_close(total, exact, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("layer", "shape"), LAYERS[1::2])
def test_where_it_cannot_serve_the_ordinary_layer_does(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    plain, faster = _made(layer)
    x = torch.randn(shape)
    assert faster(x[:0]).shape == plain(x[:0]).shape
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(faster(x), plain(x))
    assert torch.equal(faster.double()(x.double()), plain.double()(x.double()))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 1, padding=1),
        nn.Conv2d(8, 8, 1, groups=2),
        nn.Conv2d(8, 8, 3),
        nn.ConvTranspose2d(8, 8, 3, stride=2),
        nn.ConvTranspose2d(8, 8, 2, stride=2, output_padding=1),
        nn.ConvTranspose2d(8, 8, 2, stride=2, groups=2),
        nn.LazyLinear(8),
    ],
)
def test_other_layers_stay(layer: nn.Module) -> None:
    network = nn.Sequential(layer)
    use_products(network)
    assert type(network[0]) is type(layer)
    assert not isinstance(network[0], CLASSES)


@pytest.mark.usefixtures("_library")
def test_a_network_keeps_its_tensors_and_its_losses() -> None:
    method = Method.VATRACK
    plain = small_network(method)
    faster = copy.deepcopy(plain)
    use_products(faster)
    assert_trains_alike(plain, faster, method)


@pytest.mark.parametrize(
    ("capability", "maker", "family", "slow", "full"),
    [
        ("AVX512", "AuthenticAMD", 26, True, True),
        ("AVX512", "AuthenticAMD", 25, True, False),
        ("AVX512", "GenuineIntel", 6, False, True),
        ("AVX2", "AuthenticAMD", 26, False, False),
        ("AVX2", "GenuineIntel", 6, False, False),
    ],
)
def test_only_processors_that_the_other_library_serves_badly(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capability: str,
    maker: str,
    family: int,
    slow: bool,
    full: bool,
) -> None:
    processor = tmp_path / "cpuinfo"
    processor.write_text(f"processor\t: 0\nvendor_id\t: {maker}\ncpu family\t: {family}\n")
    monkeypatch.setattr(products, "_PROCESSOR", processor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(products, "available", products._mkl_is_slow)
    assert products._mkl_is_slow() is slow
    products.full_width.cache_clear()
    try:
        assert products.full_width() is full
    finally:
        products.full_width.cache_clear()
    processor.unlink()
    assert not products._mkl_is_slow()


@pytest.mark.parametrize("failing", ["missing", "wrong"])
def test_an_operator_that_fails_is_not_used(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if failing == "missing":
            raise AttributeError
        return x @ weight.t() + torch.nan

    monkeypatch.setattr(products, "_mkl_is_slow", lambda: True)
    monkeypatch.setattr(products, "_linear", linear)
    products.available.cache_clear()
    try:
        assert not products.available()
    finally:
        products.available.cache_clear()
