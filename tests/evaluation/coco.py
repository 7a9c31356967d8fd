"""Ground truth and predictions in the project's formats as the objects that pycocotools' COCOeval
takes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def coco_judge(
    joint: Mapping[str, Any],
    predictions: Iterable[Mapping[str, Any]],
    mask_type: str,
    limits: Sequence[int],
    iou_type: str = "segm",
) -> COCOeval:
    """pycocotools' evaluation of one mask type, with the areas that ours uses (that of a
    detection is its box's, quirk E2).

    Args:
        joint: joint ground truth.
        predictions: objects of contract 2, all with a mask of type `mask_type`.
        mask_type: amodal or visible.
        limits: how many of the best detections of an image and class count.
        iou_type: "segm", or "bbox" for the boxes `bbox` (of amodal masks).
    """
    truth, found = COCO(), COCO()
    truth.dataset = {
        "images": joint["images"],
        "categories": joint["categories"],
        "annotations": [
            a | {"segmentation": a[f"{mask_type}_mask"], "area": a[f"area_{mask_type}"]}
            for a in joint["annotations"]
        ],
    }
    found.dataset = truth.dataset | {
        "annotations": [
            {
                "id": number,
                "image_id": p["image_id"],
                "category_id": p["category_id"],
                "score": p["score"],
                "segmentation": p[mask_type],
                "bbox": p["bbox"],
                "area": p["bbox"][2] * p["bbox"][3],
                "iscrowd": 0,
            }
            for number, p in enumerate(predictions, 1)
        ]
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
    judge = COCOeval(truth, found, iou_type)
    judge.params.maxDets = list(limits)
    return judge
