"""Short videos through detector, tracker and mask pasting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_tools

from tests.inference.bitmaps import paste
from tests.parity.golden import Case, cases
from tests.parity.measure import (
    EXACT,
    Measure,
    demand,
    device_of,
    largest_difference,
    match_boxes,
    worst,
    wrong,
)
from tests.parity.networks import golden_network
from vatrack.common.mask_types import MaskType
from vatrack.config import ComputeConfig, InferenceConfig, TrackerConfig
from vatrack.data.frames import Frame
from vatrack.data.input_frames import InputFrame
from vatrack.data.transforms import rgb_planes, stack_padded
from vatrack.inference.predictor import FramePredictor, TrackedFrame
from vatrack.models.detector import Detector
from vatrack.models.prepared import prepare
from vatrack.models.roi_heads import Detections

# How far from the threshold a mask's probability may be at a pixel that came out otherwise: such a
# pixel is a tie.
TIE = 2e-4
SCORE_TIE = 1e-5
STEPS = [mantissa * 10.0**exponent for exponent in range(-8, 0) for mantissa in (1, 2, 5)]


def _scaled_and_other_backbones(found: list[Case]) -> list[Case]:
    """Enough for the plain network: nothing infers with it, and test_forward.py holds its every
    stage."""
    scaled = [case for case in found if "scale_factor" in case.parameters]
    backbones = {case.info["backbone"] for case in scaled}
    return scaled + [case for case in found if case.info["backbone"] not in backbones]


@pytest.mark.parametrize("case", cases("end_to_end", _scaled_and_other_backbones))
def test_tracks_of_every_frame(case: Case) -> None:
    demand(measure(case, golden_network(case)))


@pytest.mark.parametrize("case", cases("end_to_end"))
def test_tracks_of_the_network_that_inference_uses(case: Case) -> None:
    """Within the same bounds: folded norms, Winograd, packed layers, stitched masks."""
    network = prepare(golden_network(case), ComputeConfig(), torch.device("cpu"))
    demand(measure(case, network))


def measure(case: Case, model: Detector) -> list[Measure]:
    """Compares detections and tracks of every frame; each mask that is not equal bit by bit is a
    part of its own."""
    results, frames = list(_predict(case, model)), case.json("expected")["frames"]
    measures = [wrong("frames", len(results), len(frames))]
    names: dict[int, int] = {}  # our track ids to the golden ones
    for number, (ours, golden) in enumerate(zip(results, frames, strict=False)):
        measures += _compare_detections(
            ours.detections, golden["detections"], model.roi_head.layout.primary
        )
        theirs = {track["track_id"]: track for track in golden["tracks"]}
        measures += _name_new_tracks(
            f"{case.folder.name}, frame {number}", ours.records, theirs, names
        )
        identities = [names[record["track_id"]] for record in ours.records]
        measures.append(wrong("tracks: ids", sorted(identities), sorted(theirs)))
        measures += _compare_order(f"{case.folder.name}, frame {number}", identities, theirs)
        for row, (record, identity) in enumerate(zip(ours.records, identities, strict=True)):
            if identity in theirs:
                measures += _compare(record, theirs[identity])
                place = f"{case.folder.name}, frame {number}, track {identity}"
                measures += _compare_masks(place, record, theirs[identity], partial(ours.mask, row))
    return worst(measures)


@dataclass(frozen=True)
class _Result:
    """Of one frame: what the detector found, and the tracks with their records."""

    detections: Detections
    tracks: TrackedFrame
    records: list[dict[str, Any]]

    def mask(self, row: int, mask_type: MaskType, threshold: float) -> np.ndarray:
        """The mask of a track with another threshold."""
        tracks = self.tracks
        boxes = tracks.boxes[tracks.mask_boxes[mask_type]]
        return paste(
            torch.from_numpy(tracks.masks[mask_type][row : row + 1]),
            torch.from_numpy(boxes[row : row + 1]),
            (tracks.frame.height, tracks.frame.width),
            threshold,
        )[0]


def _predict(case: Case, model: Detector) -> Iterator[_Result]:
    archive, test = case.npz("inputs"), case.parameters["test"]
    settings = InferenceConfig(
        score_threshold=test["score"],
        nms_iou=test["nms"],
        max_detections=test["max_per_image"],
        tracker=TrackerConfig(**case.parameters["tracker"]),
    )
    height, width = case.parameters["original_size"]
    scale = torch.tensor(case.parameters.get("scale_factor", [1.0] * 4))
    inputs = []
    for number, bgr in enumerate(archive.get("resized", archive["frames"])):
        frame = Frame(number, 1, number, "", width, height)
        image = stack_padded([rgb_planes(bgr)])
        inputs.append((number, InputFrame(image, bgr.shape[:2], scale, frame)))
    detect, found = model.detect, []

    def watched(*given: Any) -> Any:
        detections, features = detect(*given)
        found.extend(detections)
        return detections, features

    with patch.object(model, "detect", watched):
        tracked = list(FramePredictor(model, settings, device_of(model)).track(inputs))
    for detections, tracks in zip(found, tracked, strict=True):
        yield _Result(detections, tracks, tracks.predictions(settings.mask_threshold))


def _compare_detections(
    ours: Detections, golden: list[dict[str, Any]], primary: MaskType
) -> Iterator[Measure]:
    yield wrong("detections: number", len(ours.scores), len(golden))
    boxes, labels = (
        torch.tensor([d["bbox"][:4] for d in golden]),
        torch.tensor([d["label"] for d in golden]),
    )
    found_boxes, found_labels, scores = (
        ours.boxes[primary].cpu(),
        ours.labels.cpu(),
        ours.scores.cpu(),
    )
    rows, found = match_boxes(boxes, found_boxes, labels[:, None] == found_labels[None, :])
    yield Measure("detections: unmatched", "wrong", float((~found).sum()), EXACT)
    yield Measure(
        "detections: boxes", "px", largest_difference(found_boxes[rows], boxes[found]), 0.02
    )
    golden_scores = torch.tensor([d["score"] for d in golden])
    yield Measure(
        "detections: scores", "score", largest_difference(scores[rows], golden_scores[found]), 1e-4
    )


def _name_new_tracks(
    place: str, ours: list[dict[str, Any]], theirs: dict[int, dict[str, Any]], names: dict[int, int]
) -> Iterator[Measure]:
    """New tracks are numbered in the order of their scores, so two whose scores are the same but
    for rounding may exchange
    their numbers for good. A new track keeps its number unless it is the golden track of another
    new number.
    """
    new = {record["track_id"]: record for record in ours if record["track_id"] not in names}
    for identity, record in new.items():
        alike = [name for name in new if name in theirs and _same_track(record, theirs[name])]
        name = identity if identity in alike or not alike else alike[0]
        names[identity] = name
        if name != identity:
            gap = (
                abs(theirs[name]["score"] - theirs[identity]["score"])
                if identity in theirs
                else float("inf")
            )
            yield Measure(
                f"tie: {place}, new tracks {name} and {identity} in exchanged order",
                "score",
                gap,
                SCORE_TIE,
            )


def _same_track(ours: dict[str, Any], golden: dict[str, Any]) -> bool:
    return (
        ours["category_id"] - 1 == golden["label"]
        and largest_difference(_corners(ours["bbox"]), golden["bbox"][:4]) < 1
    )


def _compare_order(
    place: str, ours: list[int], theirs: dict[int, dict[str, Any]]
) -> Iterator[Measure]:
    """Both have the best score first; neighbours may be exchanged where their scores are equal but
    for rounding."""
    common = [identity for identity in ours if identity in theirs]
    if common != [identity for identity in theirs if identity in ours]:
        for first, second in pairwise(common):
            gap = theirs[second]["score"] - theirs[first]["score"]
            if gap >= 0:
                yield Measure(
                    f"tie: {place}, order of tracks {first} and {second}", "score", gap, SCORE_TIE
                )


def _compare(ours: dict[str, Any], golden: dict[str, Any]) -> Iterator[Measure]:
    yield wrong("tracks: labels", ours["category_id"] - 1, golden["label"])
    yield Measure("tracks: scores", "score", abs(ours["score"] - golden["score"]), 1e-4)
    for key in ("bbox", "bbox_visible"):
        if key in golden:
            yield Measure(
                "tracks: boxes",
                "px",
                largest_difference(_corners(ours[key]), golden[key][:4]),
                0.02,
            )


def _compare_masks(
    place: str,
    ours: dict[str, Any],
    golden: dict[str, Any],
    paste_again: Callable[[str, float], np.ndarray],
) -> Iterator[Measure]:
    """Pixels may differ only where the probability is within `TIE` of the threshold."""
    for mask_type in ("amodal", "visible"):
        if mask_type not in golden:
            continue
        theirs = rle_tools.decode(golden[mask_type]).astype(bool)
        different = int((rle_tools.decode(ours[mask_type]).astype(bool) != theirs).sum())
        if different:
            tied = (
                step
                for step in STEPS
                if not (paste_again(mask_type, 0.5 + step) & ~theirs).any()
                and not (theirs & ~paste_again(mask_type, 0.5 - step)).any()
            )
            quantity = f"tie: {place}, {mask_type} mask, {different} of {int(theirs.sum())} pixels"
            yield Measure(quantity, "probability from 0.5", next(tied, float("inf")), TIE)


def _corners(box: list[float]) -> np.ndarray:
    x, y, width, height = box
    return np.array([x, y, x + width, y + height])
