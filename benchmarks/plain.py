"""Plain ways of what the package does faster: masks, evaluation, content change."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn.functional import grid_sample

from vatrack.common.images import read_image
from vatrack.common.mask_types import MASK_TYPES
from vatrack.data.frames import Frame
from vatrack.models.detector import Detector
from vatrack.models.roi_heads import Detections


def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float) -> np.ndarray:
    """Bitmaps (n, H, W): every pixel of the frame is sampled for every mask."""
    height, width = size
    columns = torch.arange(width, device=masks.device) + 0.5
    rows = torch.arange(height, device=masks.device) + 0.5
    bitmaps = []
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.tolist(), strict=True):
        x = ((columns - x1) / ((x2 - x1) or math.nan) * 2 - 1).nan_to_num(0.0, 0.0, 0.0)
        y = ((rows - y1) / ((y2 - y1) or math.nan) * 2 - 1).nan_to_num(0.0, 0.0, 0.0)
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
        sampled = grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
        bitmaps.append((sampled >= threshold).cpu().numpy())
    return np.stack(bitmaps) if bitmaps else np.zeros((0, height, width), bool)


def encode(bitmap: np.ndarray) -> dict[str, Any]:
    """The run-length code of a bitmap (H, W)."""
    code = coco_mask.encode(np.asfortranarray(bitmap, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode()}


def to_lines(
    model: Detector, detections: Detections, ids: Tensor, frame: Frame, threshold: float
) -> Iterator[dict[str, Any]]:
    """The predictions of a frame (contract 2)."""
    size = frame.height, frame.width
    bitmaps = {
        mask_type: paste(
            masks, detections.boxes[model.roi_head.mask_box_type(mask_type)], size, threshold
        )
        for mask_type, masks in detections.masks.items()
    }
    boxes = detections.boxes[model.roi_head.layout.primary].tolist()
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        line: dict[str, Any] = {
            "image_id": frame.image_id,
            "category_id": int(detections.labels[row]) + 1,
            "score": float(detections.scores[row]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "track_id": int(ids[row]),
        }
        for mask_type in MASK_TYPES:
            line[mask_type] = encode(bitmaps[mask_type][row]) if mask_type in bitmaps else None
        yield line


def content_scores(paths: Iterable[Path]) -> Iterator[float]:
    """Content change between frames (spec 1.3), frame by frame with whole arrays."""
    before: np.ndarray | None = None
    for path in paths:
        now = cv2.cvtColor(read_image(path), cv2.COLOR_RGB2HSV).astype(np.int32)
        if before is not None:
            yield float(np.abs(now - before).mean(axis=(0, 1)).mean())
        before = now


def read_all(folder: Path) -> tuple[Any, list[Any]]:
    """Ground truth and predictions of an evaluation, read as any script would."""
    document = json.loads((folder / "joint.json").read_text())
    with gzip.open(folder / "predictions.jsonl.gz") as stream:
        return document, [json.loads(line) for line in stream]


Masks = dict[int, dict[str, Any]]  # of a track, by image


def true_tracks(document: Any, mask_type: str) -> dict[tuple[int, int], list[Masks]]:
    """The true tracks of every video and class."""
    tracks: dict[tuple[int, int, int], Masks] = {}
    for item in document["annotations"]:
        if item["occlude_rate"] < 0.75:
            key = item["video_id"], item["category_id"], item["instance_id"]
            tracks.setdefault(key, {})[item["image_id"]] = item[f"{mask_type}_mask"]
    return _by_class((key[:2], masks) for key, masks in tracks.items())


def predicted_tracks(
    document: Any, predictions: list[Any], mask_type: str
) -> dict[tuple[int, int], list[Masks]]:
    """The 100 best predicted tracks of every video and class."""
    video_of = {image["id"]: image["video_id"] for image in document["images"]}
    tracks: dict[tuple[int, int], list[Any]] = {}
    for found in predictions:
        tracks.setdefault((video_of[found["image_id"]], found["track_id"]), []).append(found)
    ranked = []
    for (video, track), members in tracks.items():
        members.sort(key=lambda found: found["image_id"])  # in order of time in these data
        score = sum(found["score"] for found in members) / len(members)
        masks = {found["image_id"]: found[mask_type] for found in members}
        ranked.append((-score, track, (video, members[0]["category_id"]), masks))
    ranked.sort(key=lambda item: item[:2])
    by_class = _by_class((key, masks) for *_, key, masks in ranked)
    return {key: masks[:100] for key, masks in by_class.items()}


def _by_class(
    tracks: Iterable[tuple[tuple[int, int], Masks]],
) -> dict[tuple[int, int], list[Masks]]:
    result: dict[tuple[int, int], list[Masks]] = {}
    for key, masks in tracks:
        result.setdefault(key, []).append(masks)
    return result


def high_overlaps(detected: list[Masks], given: list[Masks]) -> list[float]:
    """IoU of at least one half of every pair of tracks: the masks of every frame are merged twice,
    to intersection and union."""
    high = []
    for first in detected:
        for second in given:
            common = union = 0
            for image in first.keys() | second.keys():
                pair = [masks[image] for masks in (first, second) if image in masks]
                if len(pair) == 2:
                    common += int(coco_mask.area(coco_mask.merge(pair, intersect=True)))
                    union += int(coco_mask.area(coco_mask.merge(pair, intersect=False)))
                else:
                    union += int(coco_mask.area(pair[0]))
            if common >= 0.5 * union:
                high.append(common / union)
    return high


def coco_metrics(judge: Any) -> dict[str, float | None]:
    """The nine columns of image AP by pycocotools' COCOeval.

    Its four ranges of areas in one evaluation, then the three of occlusion by ignoring what is
    outside, with the masks' overlaps of that evaluation used again (which flatters it). True
    objects with an occlusion rate above 0.75 never count; there are none in the data.
    """
    judge.evaluate()
    judge.accumulate()
    values = judge.eval["precision"]  # [T, R, classes, areas, limits]
    metrics = {
        "AP": values[:, :, :, 0, 0],
        "AP50": values[0, :, :, 0, 1],
        "AP75": values[5, :, :, 0, 1],
    }
    metrics |= {
        f"AP50_{name}": values[0, :, :, area, 1] for area, name in ((1, "S"), (2, "M"), (3, "L"))
    }
    whole = judge.params.areaRng[0]
    judge.params.areaRng = judge._paramsEval.areaRng = [whole]
    for name, (low, high) in {"P": (0.0, 0.25), "OM": (0.25, 0.5), "H": (0.25, 0.75)}.items():
        for truths in judge._gts.values():
            for truth in truths:
                truth["ignore"] = not low <= truth["occlude_rate"] <= high
        judge.evalImgs = [
            judge.evaluateImg(image, category, whole, judge.params.maxDets[-1])
            for category in judge.params.catIds
            for image in judge.params.imgIds
        ]
        judge.accumulate()
        metrics[f"AP50_{name}"] = judge.eval["precision"][0, :, :, 0, 1]
    return {
        name: 100 * part[part > -1].mean() if (part > -1).any() else None
        for name, part in metrics.items()
    }
