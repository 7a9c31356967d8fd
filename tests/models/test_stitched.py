"""Stitched mask heads against the ordinary ones."""

from __future__ import annotations

import copy

import pytest
import torch

from vatrack.models.mask_head import MaskHead
from vatrack.models.stitched import StitchedMaskHead, stitch_mask_heads
from vatrack.models.winograd import use_winograd


@pytest.mark.parametrize("count", [0, 1, 2, 7, 30])
@torch.inference_mode()
def test_stitched_masks_are_those_of_single_regions(count: int) -> None:
    torch.manual_seed(3)
    head = MaskHead(24, 128, 128, 3).eval()
    torch.nn.init.uniform_(head.upsample.bias, -0.5, 0.5)
    torch.nn.init.uniform_(head.conv_logits.bias, -0.5, 0.5)
    stitched = copy.deepcopy(head)
    use_winograd(stitched, frozen=True)
    stitch_mask_heads(stitched)
    assert isinstance(stitched, StitchedMaskHead)
    regions, labels = torch.randn(count, 128, 14, 14), torch.randint(0, 24, (count,))
    before = regions.clone()
    wanted, found = head.planes(regions, labels), stitched.planes(regions, labels)
    assert found.shape == (count, 28, 28)
    assert torch.allclose(found, wanted, atol=1e-5, rtol=1e-4)
    assert torch.equal(regions, before)
    # The whole logits are still there.
    assert torch.allclose(stitched(regions), head(regions), atol=1e-5, rtol=1e-4)
