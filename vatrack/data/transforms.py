"""Frames and ground truth to the network's input: resize, flip, normalise, pad (spec 2.4, 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Image = npt.NDArray[np.uint8]
MEAN_RGB = (123.675, 116.28, 103.53)
STD_RGB = (58.395, 57.12, 57.375)
PAD_DIVISOR = 32

# One table per channel turns a grey level into its normalised value: exact, and faster than
# arithmetic on the frame. The mean is subtracted in float32 and the factor applied in float64, as
# OpenCV does.
_LEVELS = np.arange(256, dtype=np.float32)
_TABLES = [
    ((_LEVELS - np.float32(mean)).astype(np.float64) * (1.0 / np.float64(np.float32(std)))).astype(
        np.float32
    )
    for mean, std in zip(MEAN_RGB, STD_RGB, strict=True)
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
    new_width, new_height = int(width * factor + 0.5), int(height * factor + 0.5)
    ratio = (new_width / width, new_height / height)
    return Resize((new_height, new_width), np.array(ratio * 2, np.float32))


def resize_image(image: Image, resize: Resize) -> Image:
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


def normalise(image: Image) -> npt.NDArray[np.float32]:
    """BGR picture (h, w, 3) to normalised RGB planes (3, h, w)."""
    return np.stack([table[image[:, :, 2 - channel]] for channel, table in enumerate(_TABLES)])


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The next multiples of 32."""
    return -(-height // PAD_DIVISOR) * PAD_DIVISOR, -(-width // PAD_DIVISOR) * PAD_DIVISOR


def stack_padded(arrays: Sequence[npt.NDArray[np.float32]]) -> Tensor:
    """Planes (3, h_i, w_i) to one batch (n, 3, H, W), zero-padded at the right and bottom to
    multiples of 32."""
    height, width = padded_size(max(a.shape[1] for a in arrays), max(a.shape[2] for a in arrays))
    batch = torch.zeros(len(arrays), arrays[0].shape[0], height, width)
    for target, array in zip(batch, arrays, strict=True):
        target[:, : array.shape[1], : array.shape[2]] = torch.from_numpy(array)
    return batch


def network_input(images: Sequence[Tensor], device: torch.device) -> Tensor:
    """BGR images (h_i, w_i, 3) uint8 to one normalised, padded batch (n, 3, H, W) on the device.

    A GPU gets the images as they are, a quarter of the bytes, and looks their levels up in the same
    tables, so the values are the same.
    """
    if device.type == "cpu":
        return stack_padded([normalise(image.numpy()) for image in images])
    return look_up(images, device)


def look_up(images: Sequence[Tensor], device: torch.device) -> Tensor:
    """`network_input` as a GPU computes it."""
    height, width = padded_size(max(i.shape[0] for i in images), max(i.shape[1] for i in images))
    tables = torch.from_numpy(np.stack(_TABLES)).to(device, non_blocking=True)
    batch = torch.zeros(len(images), len(_TABLES), height, width, device=device)
    for target, image in zip(batch, images, strict=True):
        levels = image.to(device, non_blocking=True).flip(2).long()
        for plane, table, level in zip(target, tables, levels.unbind(2), strict=True):
            plane[: level.shape[0], : level.shape[1]] = table[level]
    return batch
