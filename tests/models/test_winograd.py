"""Winograd's convolution against the ordinary one."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from tests.models.small import assert_trains_alike, small_network
from vatrack.config import Method
from vatrack.models import nnpack, products
from vatrack.models.winograd import WinogradConv2d, use_winograd

# What `conv2d` loses itself is about 1e-6; the transforms' numbers up to 8, and up to 32 on large
# maps, cost a factor of three and of seven.
RMS = 1e-5


@pytest.fixture(params=["oneDNN", "MKL", "NNPACK"])
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ways of computing it, on any processor."""
    if request.param == "NNPACK" and not nnpack.available():
        pytest.skip("NNPACK is not for this processor")
    monkeypatch.setattr(products, "available", lambda: request.param == "oneDNN")
    monkeypatch.setattr(products, "full_width", lambda: request.param != "NNPACK")


def _layers(inputs: int, outputs: int, *, bias: bool = True) -> tuple[nn.Conv2d, WinogradConv2d]:
    torch.manual_seed(0)
    plain = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    faster = nn.Sequential(copy.deepcopy(plain))
    use_winograd(faster)
    assert isinstance(faster[0], WinogradConv2d)
    return plain, faster[0]


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).double().square().mean().sqrt() / expected.std())


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize(
    ("images", "height", "width"),
    [(1, 50, 70), (2, 25, 40), (1, 3, 600), (1, 200, 9), (40, 7, 7), (9, 14, 14), (1, 32, 32)],
)
def test_outputs_and_gradients_are_those_of_the_exact_convolution(
    images: int, height: int, width: int
) -> None:
    """Sizes of one band and of several, with and without a rest of the last tile; many regions."""
    plain, layer = _layers(128, 160)
    x = torch.randn(images, 128, height, width, requires_grad=True)
    assert layer.bias is not None
    gradient = torch.randn(images, 160, height, width)
    exact = conv2d(x.double(), plain.weight.double(), plain.bias.double(), padding=1)
    wanted = torch.autograd.grad(exact, (x, plain.weight, plain.bias), gradient.double())
    output = layer(x)
    assert output.grad_fn.name() == "_ConvolutionBackward"
    found = torch.autograd.grad(output, (x, layer.weight, layer.bias), gradient)
    for value, expected in zip((output.detach(), *found), (exact.detach(), *wanted), strict=True):
        assert value.shape == expected.shape
        assert _error(value, expected) < RMS

    layer.freeze()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), output.detach(), rtol=0, atol=1e-4)
        channels_last = x.contiguous(memory_format=torch.channels_last)
        assert torch.equal(layer(channels_last), layer(x))


def test_a_layer_without_bias() -> None:
    plain, layer = _layers(128, 128, bias=False)
    x = torch.randn(1, 128, 24, 24)
    assert _error(layer(x).detach(), plain(x).detach()) < RMS


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("side", [40, 50])
def test_the_number_of_threads_changes_no_bit(side: int) -> None:
    """A small map, and one that is large enough for the larger tiles."""
    _, layer = _layers(128, 128)
    x = torch.randn(1, 128, side, side, requires_grad=True)

    def results() -> tuple[Tensor, ...]:
        output = layer(x)
        return output, *torch.autograd.grad(output.square().sum(), (x, *layer.parameters()))

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = results()
        torch.set_num_threads(2)
        assert all(map(torch.equal, results(), one))
    finally:
        torch.set_num_threads(before)


def test_where_it_cannot_serve_the_ordinary_form_does() -> None:
    plain, layer = _layers(128, 128)
    layer.freeze()
    x = torch.randn(1, 128, 24, 24)
    assert layer(x[:0]).shape == (0, 128, 24, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), plain(x))
    assert torch.equal(layer.bfloat16()(x.bfloat16()), plain.bfloat16()(x.bfloat16()))
    assert torch.equal(layer.double()(x.double()), plain.double()(x.double()))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(128, 128, 3, padding=1, stride=2),
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=2, dilation=2),
        nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(128, 128, 1),
        nn.Conv2d(64, 64, 3, padding=1),
    ],
)
def test_other_convolutions_stay(layer: nn.Conv2d) -> None:
    network = nn.Sequential(layer)
    use_winograd(network)
    assert type(network[0]) is nn.Conv2d


def test_a_network_keeps_its_tensors_and_its_losses() -> None:
    method = Method.VATRACK
    plain = small_network(method)
    faster = copy.deepcopy(plain)
    use_winograd(faster)
    assert sum(isinstance(layer, WinogradConv2d) for layer in faster.modules()) > 5
    assert_trains_alike(plain, faster, method)


@pytest.mark.usefixtures("_library")
@torch.inference_mode()
def test_the_order_of_the_weights_in_memory_changes_no_bit() -> None:
    """A training keeps them channels last, a prediction as they were saved."""
    _, layer = _layers(128, 160)
    layer.freeze()
    other = copy.deepcopy(layer).to(memory_format=torch.channels_last)
    for side in (40, 50):
        x = torch.randn(1, 128, side, side)
        assert torch.equal(layer(x), other(x))
