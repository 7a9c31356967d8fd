"""Batches of training pairs: padded, and drawn for an epoch (spec 2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from vatrack.common.structures import Targets
from vatrack.data.pairs import PairDataset
from vatrack.data.samples import FrameSample
from vatrack.data.transforms import network_input, padded_size, stack_padded


@dataclass(frozen=True)
class PairBatch:
    """A batch of key and reference frames.

    Attributes:
        key_images, ref_images: (n, 3, H, W) uint8 RGB, padded to multiples of 32.
        image_sizes, ref_sizes: height and width of each key and reference frame without padding.
        image_ids: (key, reference) of each pair, for messages.
    """

    key_images: Tensor
    ref_images: Tensor
    key_targets: list[Targets]
    ref_targets: list[Targets]
    image_sizes: list[tuple[int, int]]
    ref_sizes: list[tuple[int, int]]
    image_ids: list[tuple[int, int]]

    def network_images(self, pairs: slice, device: torch.device) -> tuple[Tensor, Tensor]:
        """Key and reference frames of some pairs as the network reads them, on its device."""
        return (
            network_input(self.key_images[pairs], self.image_sizes[pairs], device),
            network_input(self.ref_images[pairs], self.ref_sizes[pairs], device),
        )

    def pin_memory(self) -> PairBatch:
        """The same in page-locked memory, from where a GPU takes it faster."""
        return replace(
            self,
            key_images=self.key_images.pin_memory(),
            ref_images=self.ref_images.pin_memory(),
            key_targets=[target.pin_memory() for target in self.key_targets],
            ref_targets=[target.pin_memory() for target in self.ref_targets],
        )


def collate(pairs: Iterable[tuple[FrameSample, FrameSample]]) -> PairBatch:
    """Pads pairs to one batch."""
    pairs = list(pairs)
    sides = np.array([sample.image.shape[1:] for pair in pairs for sample in pair])
    height, width = sides.max(0).tolist()
    size = padded_size(height, width)
    return PairBatch(
        stack_padded([key.image for key, _ in pairs], size),
        stack_padded([ref.image for _, ref in pairs], size),
        [_targets(key, size) for key, _ in pairs],
        [_targets(ref, size) for _, ref in pairs],
        [key.resize.size for key, _ in pairs],
        [ref.resize.size for _, ref in pairs],
        [(key.image_id, ref.image_id) for key, ref in pairs],
    )


def _targets(sample: FrameSample, size: tuple[int, int]) -> Targets:
    return Targets(
        {mask_type: torch.from_numpy(boxes) for mask_type, boxes in sample.boxes.items()},
        {mask_type: stack_padded([masks], size)[0] for mask_type, masks in sample.masks.items()},
        torch.from_numpy(sample.labels),
        torch.from_numpy(sample.match_indices),
    )


class EpochBatches(Sampler[list[int]]):
    """Shuffled batches of frames of one orientation; the last of each orientation is filled up at
    random (spec 2.5).

    Args:
        share: the part of every batch that is wanted; None: all of it.

    Attributes:
        epoch: which order; `start`: the first batch of it that is wanted.
    """

    def __init__(
        self, dataset: PairDataset, batch_size: int, seed: int, share: slice | None = None
    ) -> None:
        wide = dataset.wide
        self.groups = [
            group for group in (np.flatnonzero(wide), np.flatnonzero(~wide)) if len(group)
        ]
        self.batch_size, self.seed, self.share = batch_size, seed, share or slice(None)
        self.epoch = self.start = 0

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return sum(-(-len(group) // self.batch_size) for group in self.groups)

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        batches: list[list[int]] = []
        for group in self.groups:
            missing = -len(group) % self.batch_size
            order = np.concatenate([generator.permutation(group), generator.choice(group, missing)])
            batches.extend(order.reshape(-1, self.batch_size).tolist())
        yield from (
            batches[i][self.share] for i in generator.permutation(len(batches))[self.start :]
        )
