"""Pyramid levels (spec 9.2) and region features."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align

from vatrack.models.fpn import STRIDES
from vatrack.models.roi import region_features, region_levels, with_image_index


def test_levels_by_side_length() -> None:
    sides = {
        0: 0,
        1: 0,
        56: 0,
        111.9999: 0,
        112: 1,
        223.9999: 1,
        224: 2,
        447.99: 2,
        448: 3,
        1000: 3,
    }
    regions = torch.tensor(
        [[0, 10.0, 10.0, 10.0 + side, 10.0 + side] for side in sides], dtype=torch.float64
    )
    assert region_levels(regions).tolist() == list(sides.values())


def test_features_come_from_the_own_image_and_level_in_order() -> None:
    features = [torch.full((2, 3, 64 >> i, 64 >> i), float(i)) for i in range(4)]
    for level in features:
        level[1] += 10
    boxes = [
        torch.tensor([[0.0, 0, 200, 200]]),
        torch.tensor([[0.0, 0, 20, 20], [0.0, 0, 250, 250]]),
    ]
    pooled = region_features(features, with_image_index(boxes), 7)
    assert pooled.shape == (3, 3, 7, 7)
    assert pooled[:, 0, 3, 3].tolist() == [1.0, 10.0, 12.0]


def test_regions_keep_their_place_with_mixed_precision() -> None:
    """At 1280 x 800 bfloat16 would move corners by up to four pixels. A ramp, 0 in the region's
    middle, shows its place."""
    ramp = (torch.arange(320.0) - 253).expand(1, 1, 200, 320)
    features = [ramp, *(torch.zeros(1, 1, 200 >> i, 320 >> i) for i in (1, 2, 3))]
    regions = torch.tensor([[0, 1001.3, 101.7, 1029.3, 129.7]])
    exact = region_features(features, regions, 7)
    torch.testing.assert_close(
        exact.mean(), torch.tensor(1015.3 / 4 - 0.5 - 253), rtol=0, atol=1e-4
    )
    with torch.autocast("cpu", torch.bfloat16):
        mixed = region_features([level.bfloat16() for level in features], regions, 7)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), exact, rtol=2**-8, atol=2**-8)


def test_no_region_gives_an_empty_tensor() -> None:
    features = [torch.zeros(1, 3, 8, 8)] * 4
    assert region_features(features, torch.zeros(0, 5), 7).shape == (0, 3, 7, 7)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("gradient", [False, True])
def test_the_same_bits_as_region_by_region(
    images: int, channels_last: bool, gradient: bool
) -> None:
    torch.manual_seed(0)
    features = [torch.randn(images, 20, 64 >> i, 80 >> i) for i in range(4)]
    if channels_last:
        features = [x.contiguous(memory_format=torch.channels_last) for x in features]
    for level in features:
        level.requires_grad_(gradient)
    corners = torch.rand(90, 2) * torch.tensor([250.0, 180])
    boxes = torch.cat([corners, corners + torch.rand(90, 2) * 900], dim=1)
    regions = torch.cat([torch.randint(images, (90, 1)).float(), boxes], dim=1)
    pooled = region_features(features, regions, 7)
    levels = region_levels(regions).tolist()
    assert set(levels) == {0, 1, 2, 3}
    for row, level in enumerate(levels):
        alone = roi_align(
            features[level], regions[row : row + 1], 7, 1 / STRIDES[level], 0, aligned=True
        )
        assert torch.equal(pooled[row], alone[0])
    if gradient:
        pooled.sum().backward()
        assert all(level.grad is not None and level.grad.any() for level in features)


def test_a_region_that_is_not_a_number_has_no_features() -> None:
    features = [torch.ones(1, 3, 64 >> i, 64 >> i) for i in range(4)]
    regions = torch.tensor([[0, 10.0, 10, 60, 60], [0, float("nan"), 10, 60, 60], [0, 0, 0, 9, 9]])
    assert region_features(features, regions, 7).amax((1, 2, 3)).tolist() == [1, 0, 1]


def test_features_and_gradients_are_torchvisions() -> None:
    """80 channels: two whole groups and a part of one."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(60, 2, generator=generator) * 150
    sizes = torch.rand(60, 2, generator=generator) * 200 + 5
    image = torch.randint(2, (60, 1), generator=generator).float()
    regions = torch.cat([image, corners, corners + sizes], dim=1)
    levels = [
        torch.rand(2, 80, 64 >> i, 64 >> i, generator=generator, requires_grad=True)
        for i in range(4)
    ]
    weights = torch.rand(60, 80, 7, 7, generator=generator)
    found = region_features(levels, regions, 7)
    (found * weights).sum().backward()
    of_level = region_levels(regions)
    assert len(of_level.unique()) > 1
    for level, features in enumerate(levels):
        mine = (of_level == level).nonzero()[:, 0]
        plain = features.detach().requires_grad_()
        one_call = roi_align(plain, regions[mine], 7, 1 / STRIDES[level], 0, aligned=True)
        torch.testing.assert_close(found[mine], one_call, rtol=0, atol=0)
        if len(mine):
            (one_call * weights[mine]).sum().backward()
            torch.testing.assert_close(features.grad, plain.grad, rtol=0, atol=1e-4)
        else:
            assert features.grad is None
