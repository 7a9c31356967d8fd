"""Test frames as the network reads them, one by one or as a PyTorch dataset (spec 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vatrack.data.frames import Frame, read_frame
from vatrack.data.transforms import fit, resize_image, rgb_planes, stack_padded


@dataclass(frozen=True)
class InputFrame:
    """One frame ready for the network.

    Attributes:
        image: (1, 3, H, W) uint8 RGB, padded, for `network_input`; `size`: height and width
            without padding.
        scale: (4,) network pixels per original pixel.
    """

    image: Tensor
    size: tuple[int, int]
    scale: Tensor
    frame: Frame


def to_input(image: npt.NDArray[np.uint8], frame: Frame, limits: tuple[int, int]) -> InputFrame:
    """The test transforms of one BGR image (spec 2.6)."""
    resize = fit(image.shape[0], image.shape[1], limits)
    planes = rgb_planes(resize_image(image, resize))
    return InputFrame(stack_padded([planes]), resize.size, torch.from_numpy(resize.scale), frame)


def pinned(item: InputFrame) -> InputFrame:
    """The same in page-locked memory, from which a GPU copies while it computes."""
    return replace(item, image=item.image.pin_memory(), scale=item.scale.pin_memory())


class FrameDataset(Dataset[InputFrame]):
    """All frames of an annotation file in clip order."""

    def __init__(self, frames: Sequence[Frame], images: Path, limits: tuple[int, int]) -> None:
        self.frames, self.images, self.limits = frames, images, limits

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> InputFrame:
        frame = self.frames[index]
        return to_input(read_frame(self.images, frame), frame, self.limits)
