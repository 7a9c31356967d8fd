"""NNPACK's convolution against the ordinary one."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from vatrack.models import nnpack

needs_nnpack = pytest.mark.skipif(not nnpack.available(), reason="NNPACK is not for this processor")


@needs_nnpack
@torch.inference_mode()
def test_outputs_are_those_of_the_exact_convolution() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(160, 128, 3, 3), torch.randn(160)
    for shape in ((1, 128, 50, 70), (3, 128, 33, 80), (1, 128, 3, 900)):
        x = torch.randn(shape)
        for given in (bias, None):
            found = nnpack.convolve(x, weight, given)
            exact = conv2d(
                x.double(), weight.double(), None if given is None else given.double(), padding=1
            )
            assert found.shape == exact.shape
            assert float((found - exact).square().mean().sqrt() / exact.std()) < 1e-5
        # An image's numbers depend on no other image, nor on the order in memory.
        last = x[-1:].contiguous(memory_format=torch.channels_last)
        assert torch.equal(nnpack.convolve(last, weight, None), found[-1:])


@needs_nnpack
@torch.inference_mode()
def test_the_number_of_threads_changes_no_bit() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1, 128, 60, 90), torch.randn(128, 128, 3, 3)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(nnpack.convolve(x, weight, None))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_library_with_other_results_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    nnpack.available.cache_clear()
    try:
        right = torch._nnpack_spatial_convolution
        monkeypatch.setattr(torch, "_nnpack_available", lambda: True)
        monkeypatch.setattr(torch, "_nnpack_spatial_convolution", lambda *a: right(*a) + 0.01)
        assert not nnpack.available()
        assert not nnpack.suits(torch.zeros(1, 128, 100, 100))
        nnpack.available.cache_clear()
        monkeypatch.delattr(torch, "_nnpack_available")
        assert not nnpack.available()
    finally:
        monkeypatch.undo()
        nnpack.available.cache_clear()
