"""Tracked objects as the lines of a predictions file (contract 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vatrack.common.mask_types import MASK_TYPES, MaskType


def prediction_lines(
    image_id: int,
    category_ids: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    track_ids: npt.NDArray[np.int64],
    boxes: npt.NDArray[np.float32],
    visible_boxes: npt.NDArray[np.float32] | None,
    rles: Mapping[MaskType, Sequence[dict[str, Any]]],
    **more: Any,
) -> list[dict[str, Any]]:
    """One dict a row, of the n objects of one frame.

    Args:
        boxes: [n, 4] corners in pixels, of the method's primary box.
        visible_boxes: [n, 4] of a second box head, where there is one.
        rles: mask type to n run-length codes; null is written for a type that is missing.
        more: the same for every row, after the track's id.
    """
    columns: dict[str, Any] = {
        "image_id": [image_id] * len(scores),
        "category_id": category_ids.tolist(),
        "score": scores.tolist(),
        "bbox": _xywh(boxes),
        "track_id": track_ids.tolist(),
        **{key: [value] * len(scores) for key, value in more.items()},
    }
    if visible_boxes is not None:
        columns["bbox_visible"] = _xywh(visible_boxes)
    for name in MASK_TYPES:
        columns[name] = rles.get(name, [None] * len(scores))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _xywh(corners: npt.NDArray[np.float32]) -> list[list[float]]:
    """Corners [n, 4] as x, y, width, height, subtracted as float32."""
    both: npt.NDArray[np.float32] = corners.reshape(-1, 4)
    return np.concatenate([both[:, :2], both[:, 2:] - both[:, :2]], axis=1).tolist()
