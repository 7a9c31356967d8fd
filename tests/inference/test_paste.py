"""Mask pasting (spec 5.2, 9.5)."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import grid_sample

from vatrack.inference.paste import paste

ONES = torch.ones(1, 28, 28)


def test_example() -> None:
    pasted = paste(ONES, torch.tensor([[10.3, 5.7, 50.2, 33.9]]), (40, 60))[0]
    expected = np.zeros((40, 60), bool)
    expected[6:34, 10:50] = True
    assert pasted.sum() == 1120
    np.testing.assert_array_equal(pasted, expected)


def test_box_without_height_fills_columns() -> None:
    pasted = paste(ONES, torch.tensor([[10.0, 5, 50, 5]]), (40, 60))[0]
    assert pasted.sum() == 1600
    assert pasted[:, 10:50].all()


def test_box_outside_the_frame_is_empty() -> None:
    assert not paste(ONES, torch.tensor([[100.0, 100, 120, 130]]), (40, 60)).any()
    assert paste(ONES[:0], torch.zeros(0, 4), (40, 60)).shape == (0, 40, 60)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.floats(-20, 60), st.floats(-20, 40), st.floats(0.5, 70), st.floats(0.5, 50)),
    st.integers(0, 1000),
    st.sampled_from([0.01, 0.2, 0.5, 0.8]),
)
def test_the_window_of_the_box_is_enough(
    box: tuple[float, float, float, float], seed: int, threshold: float
) -> None:
    """Sampling only around the box gives what sampling the whole frame gives."""
    x, y, width, height = box
    mask = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(seed))
    corners = torch.tensor([[x, y, x + width, y + height]])
    columns = (torch.arange(60) + 0.5 - corners[0, 0]) / (corners[0, 2] - corners[0, 0]) * 2 - 1
    rows = (torch.arange(40) + 0.5 - corners[0, 1]) / (corners[0, 3] - corners[0, 1]) * 2 - 1
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    whole = grid_sample(mask[None], grid[None], align_corners=False)[0, 0] >= threshold
    np.testing.assert_array_equal(paste(mask, corners, (40, 60), threshold)[0], whole.numpy())
