"""Maps from one order in memory to the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from vatrack.models.memory_order import channels_first, channels_last

Reorder = Callable[[torch.Tensor], torch.Tensor]
ORDERS: dict[Reorder, torch.memory_format] = {
    channels_first: torch.contiguous_format,
    channels_last: torch.channels_last,
}


@pytest.mark.parametrize("reorder", ORDERS)
@pytest.mark.parametrize("shape", [(1, 3, 5, 7), (2, 64, 9, 70), (3, 1, 1, 4), (0, 4, 5, 6)])
def test_numbers_and_gradients_stay(reorder: Reorder, shape: tuple[int, ...]) -> None:
    for given in ORDERS.values():
        x = torch.randn(shape).contiguous(memory_format=given).requires_grad_()
        result = reorder(x)
        assert result.is_contiguous(memory_format=ORDERS[reorder])
        assert torch.equal(result, x)
        gradient = torch.randn(shape)
        (found,) = torch.autograd.grad(result, x, gradient)
        assert torch.equal(found, gradient)


@pytest.mark.parametrize("reorder", ORDERS)
def test_what_lies_in_order_is_not_copied(reorder: Reorder) -> None:
    x = torch.randn(2, 8, 5, 6).contiguous(memory_format=ORDERS[reorder])
    assert reorder(x) is x


def test_other_memory_is_reordered_too() -> None:
    x = torch.randn(2, 16, 12, 12)[:, ::2, 1:, ::3]
    for reorder, order in ORDERS.items():
        assert torch.equal(reorder(x), x) and reorder(x).is_contiguous(memory_format=order)
