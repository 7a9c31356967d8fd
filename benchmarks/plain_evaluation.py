"""Plain ways of evaluating: pycocotools' COCOeval, and tracks compared pair by pair."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask


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
        name: 100 * precision[precision > -1].mean() if (precision > -1).any() else None
        for name, precision in metrics.items()
    }
