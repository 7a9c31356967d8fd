"""Resize, flip and normalise (spec 2.4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vatrack.data.transforms import (
    MEAN_RGB,
    STD_RGB,
    by_arithmetic,
    clip_boxes,
    fit,
    flip_boxes,
    network_input,
    padded_size,
    resize_image,
    resize_masks,
    rgb_planes,
    stack_padded,
)


@pytest.mark.parametrize(
    ("height", "width", "limits", "size"),
    [
        (800, 1280, (1280, 800), (800, 1280)),
        (200, 325, (416, 256), (256, 416)),
        (1280, 800, (1280, 800), (1280, 800)),
        (100, 100, (1280, 800), (800, 800)),
        (10, 1000, (1280, 800), (13, 1280)),
    ],
)
def test_fit_keeps_the_ratio_in_either_orientation(
    height: int, width: int, limits: tuple[int, int], size: tuple[int, int]
) -> None:
    resize = fit(height, width, limits)
    assert resize.size == size
    expected = [size[1] / width, size[0] / height] * 2
    np.testing.assert_allclose(resize.scale, expected, rtol=1e-6)


@settings(max_examples=50)
@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(-50, 250), st.floats(-50, 250)), min_size=1, max_size=5),
)
def test_flipping_twice_is_the_identity_and_clipping_stays_inside(
    width: int, corners: list[tuple[float, float]]
) -> None:
    boxes = np.array([[x, y, x + 10, y + 5] for x, y in corners], np.float32)
    np.testing.assert_allclose(flip_boxes(flip_boxes(boxes, width), width), boxes, atol=1e-3)
    clipped = clip_boxes(boxes, (100, width))
    assert clipped.min() >= 0
    assert clipped[:, [0, 2]].max() <= width
    assert clipped[:, [1, 3]].max() <= 100


def test_resizing_masks_keeps_them_binary_and_no_op_at_the_same_size() -> None:
    masks = np.zeros((2, 20, 30), np.uint8)
    masks[0, 5:15, 10:20] = 1
    resized = resize_masks(masks, fit(20, 30, (60, 40)))
    assert resized.shape == (2, 40, 60)
    assert set(np.unique(resized)) == {0, 1}
    assert resized[0].sum() == 4 * masks[0].sum()
    assert not resized[1].any()
    assert resize_masks(masks, fit(20, 30, (30, 20))) is masks
    image = np.zeros((20, 30, 3), np.uint8)
    assert resize_image(image, fit(20, 30, (30, 20))) is image


def test_batches_are_padded_with_zeros_to_multiples_of_32() -> None:
    batch = stack_padded([np.ones((3, 40, 64), np.float32), np.ones((3, 30, 70), np.float32)])
    assert batch.shape == (2, 3, 64, 96)
    assert batch[0].sum() == 3 * 40 * 64
    assert batch[1, :, 30:].sum() == 0
    assert padded_size(800, 1280) == (800, 1280)


def _normalised_in_float32(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """RGB planes of a BGR image, rounded to float32 after each of the two steps; the inverse of the
    standard deviation keeps its float64."""
    mean, std = np.array(MEAN_RGB, np.float32), np.array(STD_RGB, np.float32)
    centred = image[:, :, ::-1].astype(np.float32) - mean
    scaled = (centred * (1 / std.astype(np.float64))).astype(np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def test_network_input_is_the_normalised_image_and_its_padding_is_zero() -> None:
    generator = np.random.default_rng(0)
    drawn_images = [
        generator.integers(0, 256, size, np.uint8) for size in ((40, 64, 3), (30, 70, 3))
    ]
    images = stack_padded([rgb_planes(image) for image in drawn_images])
    found = network_input(images, [(40, 64), (30, 70)], "cpu")
    expected = stack_padded([_normalised_in_float32(image) for image in drawn_images])
    assert torch.equal(found, expected), "equal in every bit"
    assert (images.dtype, found.dtype) == (torch.uint8, torch.float32)
    assert network_input(found, [], "cpu") is found


def test_every_device_normalises_as_the_tables_do() -> None:
    """What a GPU computes, here by torch on the CPU."""
    levels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    expected = network_input(levels, [(1, 256)], "cpu")
    assert torch.equal(by_arithmetic(levels), expected)


def test_mirrored_planes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(rgb_planes(image), image[:, :, ::-1].transpose(2, 0, 1))
    np.testing.assert_array_equal(rgb_planes(image, mirrored=True), rgb_planes(image[:, ::-1]))
