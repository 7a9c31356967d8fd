"""Batches of training pairs (spec 2.5)."""

from __future__ import annotations

from pathlib import Path

from tests.data.made import annotation, clip_pairs
from vatrack.data.batches import EpochBatches, collate


def test_batches_cover_the_epoch_fill_up_and_change_with_it(tmp_path: Path) -> None:
    dataset = clip_pairs(tmp_path, [annotation(i, i, 1) for i in range(8)])
    batches = EpochBatches(dataset, 3, seed=0)
    first = list(batches)
    assert len(first) == len(batches) == 3
    assert all(len(batch) == 3 for batch in first)
    assert {index for batch in first for index in batch} == set(range(8))
    assert list(batches) == first
    batches.epoch = 1
    assert list(batches) != first


def test_collate_pads_and_keeps_pairs_together(tmp_path: Path) -> None:
    dataset = clip_pairs(tmp_path, [annotation(i, i, 1) for i in range(8)])
    batch = collate([dataset[1], dataset[5]])
    assert batch.key_images.shape == batch.ref_images.shape == (2, 3, 64, 64)
    assert batch.image_sizes == [(48, 64)] * 2
    assert [key for key, _ in batch.image_ids] == [1, 5]
    assert batch.key_targets[1].masks["amodal"].shape == (1, 64, 64)
