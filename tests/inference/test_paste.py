"""Mask pasting (spec 5.2, 9.5)."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle_tools
from torch.nn.functional import grid_sample

from tests.inference.bitmaps import paste
from vatrack.inference.paste import paste_codes

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


@settings(max_examples=60)
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


# Corners around, in and on the border of a frame of 60 x 40; sides of nothing up to too long ones.
CORNER = st.tuples(st.floats(-20, 70, width=32), st.floats(-20, 50, width=32)) | st.sampled_from(
    [(0.0, 0.0), (60.0, 40.0), (-5.0, 12.0), (17.0, 0.0)]
)
SIDES = st.tuples(st.floats(0, 90, width=32), st.floats(0, 70, width=32)) | st.sampled_from(
    [(0.0, 0.0), (0.0, 9.0), (9.0, 0.0), (60.0, 40.0), (0.001, 20.0)]
)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(CORNER, SIDES), max_size=4),
    st.integers(0, 1000),
    st.sampled_from(["noise", "smooth", "full", "empty", "tie"]),
    st.sampled_from([0.0, 0.01, 0.2, 0.5, 0.8, 1.0]),
)
def test_codes_are_those_of_the_whole_bitmaps(
    boxes: list[tuple[tuple[float, float], tuple[float, float]]],
    seed: int,
    shape: str,
    threshold: float,
) -> None:
    noise = torch.rand(len(boxes), 28, 28, generator=torch.Generator().manual_seed(seed))
    columns = torch.linspace(-1, 1, 28)
    masks = {
        "noise": noise,
        "smooth": torch.sigmoid(9 * (0.7 - torch.hypot(columns, columns[:, None]))) + 0 * noise,
        "full": torch.ones_like(noise),
        "empty": torch.zeros_like(noise),
        "tie": torch.full_like(noise, 0.5),
    }[shape]
    corners = torch.tensor([[x, y, x + w, y + h] for (x, y), (w, h) in boxes]).reshape(-1, 4)
    bitmaps = paste(masks, corners, (40, 60), threshold)
    expected = [rle_tools.encode(np.asfortranarray(b, np.uint8))["counts"] for b in bitmaps]
    assert paste_codes(masks, corners, (40, 60), threshold) == expected
