"""Pyramid levels (spec 9.2) and region features."""

from __future__ import annotations

import torch

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
