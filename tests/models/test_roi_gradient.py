"""The gradient of RoIAlign against torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vatrack.models import roi_gradient
from vatrack.models.roi_gradient import features_gradient

SHAPE = torch.Size((2, 5, 40, 64))
STRIDE = 4


def _torchvisions(gradient: Tensor, regions: Tensor) -> Tensor:
    size = gradient.shape[-1]
    found: Tensor = torch.ops.torchvision._roi_align_backward(
        gradient, regions, 1 / STRIDE, size, size, *SHAPE, 0, True
    )
    return found


def _random_regions(count: int) -> Tensor:
    """Of all sizes and shapes, up to the borders of the map and beyond."""
    generator = torch.Generator().manual_seed(count)
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([280.0, 180]) - 15
    sizes = torch.rand(count, 2, generator=generator).square() * torch.tensor([256.0, 160])
    image = torch.randint(2, (count, 1), generator=generator).float()
    return torch.cat([image, corners, corners + sizes], dim=1)


@pytest.mark.parametrize("size", [7, 14])
@pytest.mark.parametrize("numbers", [1, 20_000, roi_gradient.NUMBERS])
def test_gradients_are_those_of_torchvision(
    size: int, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regions one by one, some together, and all together."""
    monkeypatch.setattr(roi_gradient, "NUMBERS", numbers)
    regions = _random_regions(200)
    gradient = torch.rand(200, 5, size, size, generator=torch.Generator().manual_seed(0)) - 0.5
    found = features_gradient(gradient, regions, SHAPE, 1 / STRIDE)
    assert found.shape == SHAPE
    torch.testing.assert_close(found, _torchvisions(gradient, regions), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "corners",
    [
        pytest.param([40, 40, 40, 40], id="a point has no samples"),
        pytest.param([40, 20, 40, 90], id="no width"),
        pytest.param([90, 90, 30, 30], id="corners the wrong way round"),
        pytest.param([-90, -90, -20, -20], id="outside, before the map"),
        pytest.param([400, 300, 500, 400], id="outside, behind the map"),
        pytest.param([0, 0, 256, 160], id="the whole map"),
        pytest.param([-300, -300, 600, 600], id="more than the map"),
        pytest.param([251, 155, 256, 160], id="the last pixel"),
        pytest.param([0, 0, 1.5, 1], id="less than a pixel"),
        pytest.param([0, 80, 256, 81], id="a line"),
    ],
)
def test_unusual_regions(corners: list[float]) -> None:
    regions = torch.tensor([[1.0, *corners], [0, 50, 50, 90, 100]])
    gradient = torch.rand(2, 5, 7, 7, generator=torch.Generator().manual_seed(0))
    found = features_gradient(gradient, regions, SHAPE, 1 / STRIDE)
    torch.testing.assert_close(found, _torchvisions(gradient, regions), rtol=0, atol=1e-5)


def test_no_regions() -> None:
    found = features_gradient(torch.zeros(0, 5, 7, 7), torch.zeros(0, 5), SHAPE, 1 / STRIDE)
    assert found.shape == SHAPE
    assert found.abs().max() == 0


@pytest.mark.parametrize("flat", [False, True])
def test_products_are_bounded(flat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of flat regions, which have more bins than rows."""
    count, numbers, counts = 100, 20_000, []
    multiply = torch.bmm

    def noted(left: Tensor, right: Tensor) -> Tensor:
        result = multiply(left, right)
        counts.append(result.numel())
        return result

    monkeypatch.setattr(roi_gradient, "NUMBERS", numbers)
    monkeypatch.setattr(torch, "bmm", noted)
    corners = [0, 4, 60, 5, 240] if not flat else [0, 4, 60, 250, 61]
    features_gradient(
        torch.ones(count, 5, 7, 7), torch.tensor([corners] * count).float(), SHAPE, 1 / STRIDE
    )
    assert numbers / 2 < max(counts) <= numbers


def test_a_region_reaches_only_the_pixels_around_it() -> None:
    regions = torch.tensor([[0, 50.0, 50, 90, 100], [0, 0, 0, 200, 3]])
    gradient = torch.zeros(2, 5, 7, 7)
    gradient[0] = 1
    found = features_gradient(gradient, regions, SHAPE, 1 / STRIDE)
    assert found[1].abs().max() == 0
    assert found[0, :, :9].abs().max() == 0
    torch.testing.assert_close(found[0].sum(), torch.tensor(5 * 49.0))
