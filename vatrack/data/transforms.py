"""Frames and ground truth to the network's input: resize, flip, normalise, pad (spec 2.4, 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vatrack.common.images import ImageArray

MEAN_RGB = (123.675, 116.28, 103.53)
STD_RGB = (58.395, 57.12, 57.375)
PAD_DIVISOR = 32

# One table per channel turns a grey level into its normalised value: exact, and faster than
# arithmetic on the frame. The mean is subtracted in float32 and the factor applied in float64, as
# OpenCV does.
_LEVELS = np.arange(256, dtype=np.float32)
_FACTORS = [float(1.0 / np.float64(np.float32(std))) for std in STD_RGB]
_TABLES = [
    ((_LEVELS - np.float32(mean)).astype(np.float64) * factor).astype(np.float32)
    for mean, factor in zip(MEAN_RGB, _FACTORS, strict=True)
]


@dataclass(frozen=True)
class Resize:
    """How a frame was scaled.

    Attributes:
        size: new height and width in pixels.
        scale: (4,) float32, new pixels per old pixel for x1, y1, x2, y2.
    """

    size: tuple[int, int]
    scale: npt.NDArray[np.float32]


def fit(height: int, width: int, limits: tuple[int, int]) -> Resize:
    """The size that keeps the ratio and fits into limits = (long side, short side), in either
    orientation."""
    factor = min(max(limits) / max(height, width), min(limits) / min(height, width))
    # A side of 0, of a frame that is a hair's breadth, could not be computed with.
    new_width, new_height = (max(1, int(side * factor + 0.5)) for side in (width, height))
    ratio = (new_width / width, new_height / height)
    return Resize((new_height, new_width), np.array(ratio * 2, np.float32))


def resize_image(image: ImageArray, resize: Resize) -> ImageArray:
    """Bilinear, as OpenCV computes it."""
    height, width = resize.size
    if image.shape[:2] == resize.size:
        return image
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, image.dtype)


def resize_masks(masks: npt.NDArray[np.uint8], resize: Resize) -> npt.NDArray[np.uint8]:
    """Nearest neighbour, (n, h, w) to (n, H, W)."""
    height, width = resize.size
    if masks.shape[1:] == resize.size:
        return masks
    scaled = np.empty((len(masks), height, width), np.uint8)
    for target, mask in zip(scaled, masks, strict=True):
        cv2.resize(mask, (width, height), dst=target, interpolation=cv2.INTER_NEAREST)
    return scaled


def clip_boxes(boxes: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Clips corners (n, 4) to [0, width] x [0, height]."""
    height, width = size
    return np.clip(boxes, 0, np.array([width, height, width, height], np.float32))


def flip_boxes(boxes: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    """Mirrors corners (n, 4) horizontally."""
    flipped = boxes.copy()
    flipped[:, 0], flipped[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return flipped


def rgb_planes(image: ImageArray, *, mirrored: bool = False) -> ImageArray:
    """BGR image (h, w, 3) to RGB planes (3, h, w); `mirrored`: left and right exchanged."""
    planes = np.stack(cv2.split(image)[::-1])
    if mirrored:
        for plane in planes:
            cv2.flip(plane, 1, dst=plane)
    return np.asarray(planes, np.uint8)


def _normalised(planes: ImageArray) -> npt.NDArray[np.float32]:
    return np.stack([cv2.LUT(plane, table) for plane, table in zip(planes, _TABLES, strict=True)])


def network_input(
    images: Tensor, sizes: Sequence[tuple[int, int]], device: torch.device | str
) -> Tensor:
    """RGB planes of frames as the network reads them, normalised on its device.

    A frame is moved there as uint8, a fourth of the bytes. Every device has the same numbers.

    Args:
        images: (n, 3, H, W) uint8, padded; what is float already is only moved.
        sizes: height and width of each frame without padding.

    Returns:
        (n, 3, H, W) float32 on the device; the padding is zero.
    """
    moved = images.to(device, non_blocking=True)
    if moved.dtype != torch.uint8:
        return moved
    if moved.device.type == "cpu":
        planes = torch.from_numpy(np.stack([_normalised(image) for image in moved.numpy()]))
    else:
        planes = by_arithmetic(moved)
    for image, (height, width) in zip(planes, sizes, strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return planes


def by_arithmetic(images: Tensor) -> Tensor:
    """uint8 RGB planes (n, 3, H, W) to normalised ones, on their device: the same numbers as from
    the tables, since every step is rounded as it is there."""
    mean, factor = (
        torch.tensor(values, dtype=kind, device=images.device).view(3, 1, 1)
        for values, kind in ((MEAN_RGB, torch.float32), (_FACTORS, torch.float64))
    )
    return ((images.float() - mean).double() * factor).float()


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The next multiples of 32."""
    return -(-height // PAD_DIVISOR) * PAD_DIVISOR, -(-width // PAD_DIVISOR) * PAD_DIVISOR


def stack_padded(arrays: Sequence[npt.NDArray[Any]], size: tuple[int, int] | None = None) -> Tensor:
    """Planes (c, h_i, w_i) as one batch (n, c, H, W), zero-padded at the right and bottom.

    Args:
        size: H and W; None: the largest height and width as multiples of 32.
    """
    height, width = size or padded_size(
        max(array.shape[1] for array in arrays), max(array.shape[2] for array in arrays)
    )
    if len(arrays) == 1 and arrays[0].shape[1:] == (height, width):
        return torch.from_numpy(arrays[0][None])
    batch = np.zeros((len(arrays), arrays[0].shape[0], height, width), arrays[0].dtype)
    for target, array in zip(batch, arrays, strict=True):
        target[:, : array.shape[1], : array.shape[2]] = array
    return torch.from_numpy(batch)
