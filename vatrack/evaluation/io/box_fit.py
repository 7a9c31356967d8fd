"""Whether the boxes of predictions are x, y, width and height: those written as corners reach out
of the image and do not fit their masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vatrack.common.mask_types import MaskType
from vatrack.common.rle import Floats, Ints, boxes_of
from vatrack.evaluation.ap.overlaps import common_areas
from vatrack.evaluation.io.ground_truth import Images
from vatrack.evaluation.io.predictions import Predictions

SAMPLE = 500  # masks of one video and mask type that are compared with their boxes
MANY = 0.1  # share of the boxes from which on there is a warning
SLACK = 0.05  # share of an image's side by which a detector's box may reach out of it


@dataclass(frozen=True)
class BoxFit:
    """Counts of boxes: `boxes` in all and of these `outside` the image; `compared` with their masks
    and of these `unlike`; `negative` ones."""

    boxes: int = 0
    outside: int = 0
    compared: int = 0
    unlike: int = 0
    negative: int = 0

    def __add__(self, other: BoxFit) -> BoxFit:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return BoxFit(*(mine + its for mine, its in pairs))

    def warning(self) -> str | None:
        """What is to be said about these boxes; None where nothing is."""
        found = []
        if self.outside > MANY * self.boxes:
            found.append(f"{self.outside} of {self.boxes} extend beyond their image")
        if self.unlike > MANY * self.compared:
            found.append(f"{self.unlike} of {self.compared} compared do not match their masks")
        if found:
            return (
                f"boxes of predictions: {', '.join(found)}; boxes must be [x, y, width, "
                "height], not two corners (box metrics and size groups depend on it)"
            )
        if self.negative:
            return (
                f"boxes of predictions: {self.negative} of {self.boxes} have a slightly "
                "negative width or height; they are evaluated as in the published code"
            )
        return None


def box_fit(predictions: Predictions, images: Images) -> BoxFit:
    """Counts the boxes of the predictions of whole videos that cannot be what they should be.

    A box does not fit its mask where most of the mask's own box is outside it, or where it fits
    much better when it is read as two corners. The box of a visible mask is compared where it is
    one of its own (`bbox_visible`), or the prediction has no amodal mask.
    """
    found = BoxFit()
    for mask_type in ("amodal", "visible"):
        boxes, own = predictions.box[mask_type], predictions.counts[mask_type]
        there = np.array([text is not None for text in own], bool)
        if mask_type == "visible":
            amodal = np.array([text is not None for text in predictions.counts["amodal"]], bool)
            there &= ~amodal | (boxes != predictions.box["amodal"]).any(1)
        rows = np.flatnonzero(there)
        if len(rows):
            found += _fit(predictions, images, mask_type, rows)
    return found


def _fit(predictions: Predictions, images: Images, mask_type: MaskType, rows: Ints) -> BoxFit:
    boxes = predictions.box[mask_type][rows]
    limits = images.size[predictions.image[rows]][:, ::-1]
    slack = SLACK * limits + 1
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    outside = ((low < -slack) | (high > limits + slack)).any(1)
    negative = (boxes[:, 2:] < 0).any(1)

    filled = np.flatnonzero(predictions.area[mask_type][rows] > 0)
    chosen = filled[:: -(-len(filled) // SAMPLE)] if len(filled) else filled
    tight = boxes_of(
        [predictions.counts[mask_type][row] or b"" for row in rows[chosen].tolist()],
        limits[chosen][:, ::-1],
    )
    box = boxes[chosen]
    common, _ = _overlap(box, tight)
    corners = box.copy()
    corners[:, 2:] -= corners[:, :2]
    better = _overlap(corners, tight)[1] > 2 * _overlap(box, tight)[1]
    unlike = (common < 0.5 * tight[:, 2:].prod(1)) | (better & (corners[:, 2:] > 0).all(1))
    return BoxFit(
        len(rows), int(outside.sum()), len(chosen), int(unlike.sum()), int(negative.sum())
    )


def _overlap(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Common area [N] and IoU [N] of pairs of boxes [N, 4]."""
    common = common_areas(first, second)
    union = first[:, 2:].clip(0).prod(1) + second[:, 2:].prod(1) - common
    return common, common / np.maximum(union, 1e-9)
