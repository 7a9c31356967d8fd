"""What data, network and losses hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vatrack.common.mask_types import MaskType


@dataclass(frozen=True)
class Targets:
    """Ground truth of one image.

    Attributes:
        boxes: mask type to (g, 4) corners in network pixels.
        masks: mask type to (g, H, W) uint8 bitmaps at the size of the network input; empty for
            reference frames, whose masks no loss looks at.
        labels: (g,) int64, from 0 to the number of classes - 1.
        match_indices: (g,) int64, index of the same object in the other frame of the pair, or -1.
    """

    boxes: Mapping[MaskType, Tensor]
    masks: Mapping[MaskType, Tensor]
    labels: Tensor
    match_indices: Tensor

    def to(self, device: torch.device) -> Targets:
        """The same on another device."""
        return self._each(lambda value: value.to(device, non_blocking=True))

    def pin_memory(self) -> Targets:
        """The same in page-locked memory, from which copies to a GPU run beside the computation."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Targets:
        return Targets(
            {mask_type: change(value) for mask_type, value in self.boxes.items()},
            {mask_type: change(value) for mask_type, value in self.masks.items()},
            change(self.labels),
            change(self.match_indices),
        )


def at_least_one(count: int | Tensor) -> float | Tensor:
    """The divisor of a sum over so many things; a count that a GPU knows stays there."""
    return count.clamp(min=1).float() if isinstance(count, Tensor) else float(max(count, 1))


@dataclass(frozen=True)
class BatchShare:
    """How a process computes its share of a batch, so that all shares together equal the whole
    batch.

    Attributes:
        divisor: from a number of things here to what their sum is divided by, at least one. Several
            processes give the mean over all of them, so that the mean of the processes' terms is
            the term of the whole batch.
        generators: one for each pair, on the CPU, from which its random samples are drawn; empty:
            PyTorch's global one.
    """

    divisor: Callable[[int | Tensor], float | Tensor] = at_least_one
    generators: Sequence[torch.Generator] = ()

    def generator(self, pair: int) -> torch.Generator | None:
        """That of one pair."""
        return self.generators[pair] if self.generators else None


WHOLE_BATCH = BatchShare()
