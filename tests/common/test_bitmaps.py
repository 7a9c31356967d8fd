from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from vatrack.common.bitmaps import draw, encode_bitmap


def _codes(bitmaps: np.ndarray) -> list[bytes]:
    turned = np.asfortranarray(bitmaps.transpose(1, 2, 0))
    return [code["counts"] for code in coco_mask.encode(turned)]


@pytest.mark.parametrize("seed", range(40))
def test_drawn_masks_are_those_that_pycocotools_decodes(seed: int) -> None:
    generator = np.random.default_rng(seed)
    number, height, width = (int(generator.integers(1, most)) for most in (6, 30, 40))
    bitmaps = (generator.random((number, height, width)) < generator.random()).astype(np.uint8)
    if seed % 2:  # inside a window
        top, left = int(generator.integers(height)), int(generator.integers(width))
        bitmaps[:, :top] = bitmaps[:, :, :left] = 0
    codes = _codes(bitmaps)
    np.testing.assert_array_equal(draw(codes, (height, width)), bitmaps)
    mirrored = draw(codes, (height, width), mirrored=True)
    np.testing.assert_array_equal(mirrored, bitmaps[:, :, ::-1])


def test_empty_and_full_masks() -> None:
    bitmaps = np.stack([np.zeros((5, 4), np.uint8), np.ones((5, 4), np.uint8)])
    np.testing.assert_array_equal(draw(_codes(bitmaps), (5, 4)), bitmaps)
    assert draw([], (5, 4)).shape == (0, 5, 4)


def test_the_code_of_a_bitmap_draws_it_again() -> None:
    bitmap = np.random.default_rng(3).random((7, 11)) < 0.4
    code = encode_bitmap(bitmap)
    assert code["size"] == [7, 11]
    assert np.array_equal(draw([code["counts"].encode()], (7, 11))[0], bitmap)
