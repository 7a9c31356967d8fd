"""Mask probabilities inside a box to a bitmap of the whole frame (spec 5.2)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def paste(
    masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5
) -> npt.NDArray[np.bool_]:
    """Bitmaps (n, H, W) of n masks.

    Sampled bilinearly at pixel centres with zeros outside, cut at the threshold. Boxes of no width
    or height fill whole columns or rows, as published (quirk I7); what would be NaN there counts as
    0. torchvision's paste_masks_in_image rounds boxes to integers and pads, so it gives other
    pixels.

    Args:
        masks: (n, m, m) probabilities; `boxes`: (n, 4) in pixels of the frame; `size`: height and
            width of the frame.
    """
    height, width = size
    device = masks.device
    result = torch.zeros((len(masks), height, width), dtype=torch.bool, device=device)
    columns = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    rows = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    # Zeros are padded: outside its box a mask stays below one half, and half a cell further it is
    # 0. So only a window is sampled.
    reach = 0.0 if threshold >= 0.5 else 0.5 / masks.shape[-1]
    for target, mask, box in zip(result, masks, boxes.tolist(), strict=True):
        x1, y1, x2, y2 = box
        left, right = _window(x1, x2, width, reach)
        top, bottom = _window(y1, y2, height, reach)
        if right <= left or bottom <= top:
            continue
        grid_x = _relative(columns[left:right], x1, x2)
        grid_y = _relative(rows[top:bottom], y1, y2)
        grid = torch.stack(torch.meshgrid(grid_y, grid_x, indexing="ij")[::-1], dim=-1)
        sampled = grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
        target[top:bottom, left:right] = sampled >= threshold
    return result.cpu().numpy()


def _window(start: float, stop: float, size: int, reach: float) -> tuple[int, int]:
    """First pixel and the one after the last; `reach`: in sides of the box, beyond the box."""
    if stop <= start:
        return 0, size
    margin = (stop - start) * reach
    return max(0, int(np.floor(start - margin)) - 1), min(size, int(np.ceil(stop + margin)) + 1)


def _relative(centres: Tensor, start: float, stop: float) -> Tensor:
    """Positions in [-1, 1] inside the box; the infinities and NaN of an empty box become 0."""
    return ((centres - start) / (stop - start or math.nan) * 2 - 1).nan_to_num(
        nan=0.0, posinf=0.0, neginf=0.0
    )
