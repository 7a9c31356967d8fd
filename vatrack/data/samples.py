"""One frame of a training pair after the transforms (spec 2.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vatrack.common.mask_types import MaskType
from vatrack.data.frames import Frame, Objects
from vatrack.data.transforms import (
    Resize,
    clip_boxes,
    fit,
    flip_boxes,
    resize_image,
    resize_masks,
    rgb_planes,
)


@dataclass(frozen=True)
class FrameSample:
    """One frame of a pair after the transforms, without padding.

    Attributes:
        image: (3, h, w) uint8, RGB; `network_input` normalises it.
        boxes: mask type to (n, 4); `masks`: mask type to (n, h, w) uint8, empty where they were
            not asked for.
        labels, match_indices: (n,) int64.
        resize: how the frame was scaled.
    """

    image: npt.NDArray[np.uint8]
    boxes: dict[MaskType, npt.NDArray[np.float32]]
    masks: dict[MaskType, npt.NDArray[np.uint8]]
    labels: npt.NDArray[np.int64]
    match_indices: npt.NDArray[np.int64]
    resize: Resize
    image_id: int


def prepare(
    image: npt.NDArray[np.uint8],
    frame: Frame,
    objects: Objects,
    matches: npt.NDArray[np.int64],
    limits: tuple[int, int],
    flip: bool,
    *,
    with_masks: bool = True,
) -> FrameSample:
    """Resizes, clips and flips one frame with its objects (spec 2.4)."""
    resize = fit(image.shape[0], image.shape[1], limits)
    resized = resize_image(image, resize)
    boxes = {
        mask_type: clip_boxes(value * resize.scale, resize.size)
        for mask_type, value in objects.boxes.items()
    }
    # Flipped while they are drawn, unless they change in size: what is nearest may differ then.
    same_size = image.shape[:2] == resize.size
    masks = {
        mask_type: resize_masks(
            objects.masks(mask_type, *image.shape[:2], mirrored=flip and same_size), resize
        )
        for mask_type in (objects.rles if with_masks else ())
    }
    if flip:
        boxes = {mask_type: flip_boxes(value, resize.size[1]) for mask_type, value in boxes.items()}
    if flip and not same_size:
        masks = {
            mask_type: np.ascontiguousarray(value[:, :, ::-1]) for mask_type, value in masks.items()
        }
    return FrameSample(
        rgb_planes(resized, mirrored=flip),
        boxes,
        masks,
        objects.labels,
        matches,
        resize,
        frame.image_id,
    )
