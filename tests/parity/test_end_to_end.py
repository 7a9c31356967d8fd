"""Short videos through detector, tracker and mask pasting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_tools

from tests.golden import Case, cases
from tests.parity.networks import golden_network
from vatrack.config import InferenceConfig, TrackerConfig
from vatrack.data.frames import Frame
from vatrack.data.transforms import normalise, stack_padded
from vatrack.inference.predict import ClipPredictor, records

# A detector's decision at a threshold may fall on the other side; the advice beside the goldens allows one in a hundred.
ALLOWED_SHARE = 0.01


@pytest.mark.parametrize("case", cases("end_to_end"))
def test_tracks_of_every_frame(case: Case) -> None:
    archive, expected = case.npz("inputs"), case.json("expected")["frames"]
    test = case.parameters["test"]
    settings = InferenceConfig(
        score_threshold=test["score"],
        nms_iou=test["nms"],
        max_detections=test["max_per_image"],
        tracker=TrackerConfig(**case.parameters["tracker"]),
    )
    model = golden_network(case)
    predictor = ClipPredictor(model, settings, torch.device("cpu"))
    height, width = case.parameters["original_size"]
    scale = torch.tensor(case.parameters.get("scale_factor", [1.0] * 4))
    pictures = archive.get("resized", archive["frames"])
    wrong = total = 0
    for number, (picture, golden) in enumerate(zip(pictures, expected, strict=True)):
        frame = Frame(number, 1, number, "", width, height)
        result = predictor.step(stack_padded([normalise(picture)]), picture.shape[:2], scale, number)
        assert result is not None
        ours = {record["track_id"]: record for record in records(model, *result, frame, settings.mask_threshold)}
        assert ours.keys() == {track["track_id"] for track in golden["tracks"]}, f"frame {number}"
        for track in golden["tracks"]:
            total += 1
            wrong += not _agrees(ours[track["track_id"]], track)
    assert total > 0
    assert wrong <= ALLOWED_SHARE * total, f"{wrong} of {total} tracks differ"


def _corners(box: list[float]) -> np.ndarray:
    x, y, width, height = box
    return np.array([x, y, x + width, y + height])


def _agrees(ours: dict[str, Any], golden: dict[str, Any]) -> bool:
    if ours["category_id"] - 1 != golden["label"] or abs(ours["score"] - golden["score"]) > 1e-4:
        return False
    for key in ("bbox", "bbox_visible"):
        if key in golden and np.abs(_corners(ours[key]) - np.array(golden[key][:4])).max() > 0.02:
            return False
    for kind in ("amodal", "visible"):
        if kind in golden:
            pair = [{"size": rle["size"], "counts": rle["counts"]} for rle in (ours[kind], golden[kind])]
            both_empty = not any(rle_tools.area(rle) for rle in pair)
            if not both_empty and rle_tools.iou(pair[:1], pair[1:], [0])[0, 0] <= 0.99:
                return False
    return True
