"""Short videos through detector, tracker and mask pasting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_tools

from tests.golden import Case, cases
from tests.parity.measure import Measure, demand, device_of, largest_difference, worst, wrong
from tests.parity.networks import golden_network
from vatrack.config import InferenceConfig, TrackerConfig
from vatrack.data.frames import Frame
from vatrack.data.transforms import normalise, stack_padded
from vatrack.inference.predict import ClipPredictor, records
from vatrack.models.detector import Detector

MASK_DISAGREEMENT = 0.01  # 1 - IoU


@pytest.mark.parametrize("case", cases("end_to_end"))
def test_tracks_of_every_frame(case: Case) -> None:
    demand(measure(case, golden_network(case)))


def measure(case: Case, model: Detector) -> list[Measure]:
    """Compares the tracks of every frame, by track id."""
    results, frames = list(_predict(case, model)), case.json("expected")["frames"]
    measures = [wrong("frames", len(results), len(frames))]
    for ours, golden in zip(results, frames, strict=False):
        theirs = {track["track_id"]: track for track in golden["tracks"]}
        measures.append(wrong("tracks: ids", sorted(ours), sorted(theirs)))
        for identity in ours.keys() & theirs.keys():
            measures += _compare(ours[identity], theirs[identity])
    return worst(measures)


def _predict(case: Case, model: Detector) -> Iterator[dict[int, Any]]:
    """Our tracks of each frame, by id."""
    archive, test = case.npz("inputs"), case.parameters["test"]
    settings = InferenceConfig(
        score_threshold=test["score"],
        nms_iou=test["nms"],
        max_detections=test["max_per_image"],
        tracker=TrackerConfig(**case.parameters["tracker"]),
    )
    predictor = ClipPredictor(model, settings, device_of(model))
    height, width = case.parameters["original_size"]
    scale = torch.tensor(case.parameters.get("scale_factor", [1.0] * 4))
    for number, picture in enumerate(archive.get("resized", archive["frames"])):
        frame = Frame(number, 1, number, "", width, height)
        result = predictor.step(stack_padded([normalise(picture)]), picture.shape[:2], scale, number)
        assert result is not None
        yield {record["track_id"]: record for record in records(model, *result, frame, settings.mask_threshold)}


def _compare(ours: dict[str, Any], golden: dict[str, Any]) -> Iterator[Measure]:
    yield wrong("tracks: labels", ours["category_id"] - 1, golden["label"])
    yield Measure("tracks: scores", "score", abs(ours["score"] - golden["score"]), 1e-4)
    for key in ("bbox", "bbox_visible"):
        if key in golden:
            yield Measure("tracks: boxes", "px", largest_difference(_corners(ours[key]), golden[key][:4]), 0.02)
    for kind in ("amodal", "visible"):
        if kind in golden:
            pair = [{"size": rle["size"], "counts": rle["counts"]} for rle in (ours[kind], golden[kind])]
            both_empty = not any(rle_tools.area(rle) for rle in pair)
            iou = 1.0 if both_empty else float(rle_tools.iou(pair[:1], pair[1:], [0])[0, 0])
            yield Measure(f"tracks: {kind} masks", "1 - IoU", 1 - iou, MASK_DISAGREEMENT)
            pixels = abs(int(rle_tools.area(pair[0])) - int(rle_tools.area(pair[1])))
            yield Measure(f"tracks: {kind} masks", "pixels of area", float(pixels), float("inf"))


def _corners(box: list[float]) -> np.ndarray:
    x, y, width, height = box
    return np.array([x, y, x + width, y + height])
