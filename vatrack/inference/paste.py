"""Mask probabilities inside a box to masks of the whole frame (spec 5.2).

Every mask is sampled bilinearly at pixel centres with zeros outside, and cut at the threshold.
Boxes of no width or height fill whole columns or rows, as published (quirk I7); what would be NaN
there counts as 0. torchvision's paste_masks_in_image rounds boxes to integers and pads, so it gives
other pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from vatrack.common.rle import encode_runs


def paste_codes(
    masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5
) -> list[bytes]:
    """Compressed run-length codes of n masks.

    No bitmap of a frame is made: run lengths come from the window of each box, sampled column by
    column as the code wants it.

    Args:
        masks: (n, m, m) probabilities; `boxes`: (n, 4) in pixels of the frame; both on the CPU.
        size: height and width of the frame.
    """
    height, width = size
    runs = []
    # Of the largest window, which is the frame: memory that is touched anew costs more than the
    # computation.
    grids = np.empty(2 * height * width, np.float32)
    pixels = np.empty((height + 1) * width + 2, bool)
    for mask, box in zip(masks, boxes.tolist(), strict=True):
        x, y = _axes(box, size, _reach(mask, threshold))
        columns, rows = len(x.grid), len(y.grid)
        if not columns or not rows:
            runs.append(np.array([height * width]))
            continue
        grid = grids[: 2 * columns * rows].reshape(2, columns, rows)
        grid[0], grid[1] = x.grid[:, None], y.grid
        # Background before and behind the window, and below each column that is not a whole one.
        stride = rows + (rows < height)
        flat = pixels[: columns * stride + 2]
        flat[0] = flat[-1] = False
        window = flat[1:-1].reshape(columns, stride)
        np.greater_equal(
            _sample(mask, grid.transpose(1, 2, 0)), np.float32(threshold), out=window[:, :rows]
        )
        window[:, rows:] = False
        changes = np.flatnonzero(flat[1:] != flat[:-1])
        # A change stands in a column of the frame as far down as in one of the window.
        column = changes.astype(np.int32) // np.int32(stride)
        starts = changes + column * np.int64(height - stride) + (x.start * height + y.start)
        lengths = np.diff(starts, prepend=0, append=height * width)
        runs.append(lengths if lengths[-1] else lengths[:-1])
    return encode_runs(runs)


class _Axis(NamedTuple):
    """Rows or columns of a frame, `start` to `stop`, that a box may touch.

    `grid`: where their centres lie in the box, from -1 to 1.
    """

    start: int
    stop: int
    grid: npt.NDArray[np.float32]


def _reach(mask: Tensor, threshold: float) -> float:
    """How far a mask goes beyond its box, in sides of the box.

    Zeros are padded: outside its box a mask stays below one half, and half a cell further it is 0.
    """
    return 0.0 if threshold >= 0.5 else 0.5 / mask.shape[-1]


def _axes(box: list[float], size: tuple[int, int], reach: float) -> tuple[_Axis, _Axis]:
    """Columns and rows."""
    x1, y1, x2, y2 = box
    height, width = size
    return _axis(x1, x2, width, reach), _axis(y1, y2, height, reach)


def _axis(first: float, last: float, size: int, reach: float) -> _Axis:
    start, stop = 0, size
    if last > first:
        margin = (last - first) * reach
        start = max(0, math.floor(first - margin) - 1)
        stop = max(start, min(size, math.ceil(last + margin) + 1))
    centres = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    side = np.float32(last - first or math.nan)
    with np.errstate(over="ignore"):  # of a box that is almost empty
        grid = (centres - np.float32(first)) / side * np.float32(2) - np.float32(1)
    # the infinities and NaN of an empty box
    return _Axis(start, stop, np.where(np.isfinite(grid), grid, np.float32(0)))


def _sample(mask: Tensor, grid: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mask at positions (h, w, 2), bilinearly with zeros outside, (h, w)."""
    sampled = grid_sample(mask[None, None], torch.from_numpy(grid)[None], align_corners=False)
    values: npt.NDArray[np.float32] = sampled[0, 0].numpy()
    return values
