"""Columns of integers that grow."""

from __future__ import annotations

import numpy as np

from vatrack.evaluation.io.item_columns import ItemColumns


def test_items_added_one_by_one_and_together_are_the_same() -> None:
    generator = np.random.default_rng(0)
    keys = generator.integers(-(2**62), 2**62, 50)
    offsets = generator.integers(0, 2**62, (50, 3))
    single, together = ItemColumns(), ItemColumns()
    for key, offset in zip(keys.tolist(), offsets.tolist(), strict=True):
        single.add(key, *offset)
    for part in (slice(0, 1), slice(1, 1), slice(1, 50)):
        together.add_all(keys[part], offsets[part])
    for columns in (single, together):
        assert columns.keys().tolist() == keys.tolist()
        assert columns.rows(3).tolist() == offsets.tolist()


def test_no_items() -> None:
    columns = ItemColumns()
    assert columns.keys().shape == (0,)
    assert columns.rows(2).shape == (0, 2)
