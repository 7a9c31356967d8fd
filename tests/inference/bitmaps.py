"""The reference of pasted masks: whole bitmaps, in place of run lengths."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vatrack.inference.paste import _axes, _reach, _sample


def paste(
    masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5
) -> npt.NDArray[np.bool_]:
    """Bitmaps (n, H, W) of n masks.

    Args:
        masks: (n, m, m) probabilities; `boxes`: (n, 4) in pixels of the frame; both on the CPU.
        size: height and width of the frame.
    """
    result = np.zeros((len(masks), *size), bool)
    for target, mask, box in zip(result, masks, boxes.tolist(), strict=True):
        x, y = _axes(box, size, _reach(mask, threshold))
        grid = np.stack(np.broadcast_arrays(x.grid, y.grid[:, None]), axis=-1)
        if grid.size:
            target[y.start : y.stop, x.start : x.stop] = _sample(mask, grid) >= threshold
    return result
