"""Inference of one frame, by stage: from the normalised frame to lines of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask

from benchmarks import plain
from benchmarks.measure import Case, Subject, Watch, Work
from benchmarks.networks import (
    BACKBONES,
    ROUNDED,
    WAYS,
    count_gflop,
    network,
    settings,
    textured_frame,
    watched,
    ways_here,
)
from vatrack.common.device import choose_device
from vatrack.common.mask_types import MASK_TYPES
from vatrack.config import RunConfig
from vatrack.data.frames import Frame
from vatrack.data.input_frames import to_input
from vatrack.inference.predictor import FramePredictor
from vatrack.inference.tracker import QuasiDenseTracker
from vatrack.models.detector import Detector
from vatrack.models.prepared import prepare as prepared


def cases(size: str) -> list[Case]:
    """ResNet-50, and at full size ResNeXt-101, too."""
    options: dict[str, Any] = {
        "tiny": {"width": 96, "height": 64, "small": True},
        "small": {"width": 640, "height": 384, "proposals": 300, "detections": 30},
        "full": {"width": 1280, "height": 800},
    }[size]
    return [
        Case(name, 1, ways_here(), ROUNDED, options=options | {"backbone": name})
        for name in BACKBONES[size]
    ]


def prepare(case: Case, _: Path, way: str) -> Work:
    """A round is the same frame, seen by a new tracker."""
    run = settings(case.options, way)
    device = choose_device(run.compute.device)
    width, height = case.options["width"], case.options["height"]
    image = textured_frame(width, height, 0)
    model = network(run).eval().to(device)
    if not WAYS[way].plain:
        model = prepared(model, run.compute, device)
    shown = Frame(1, 1, 0, "frame.png", width, height)
    predict = plain_lines if WAYS[way].plain else lines

    def work(watch: Watch) -> Sequence[float]:
        with watched(watch, stages(model)):
            found = predict(watch, model, run, image, shown, device)
        areas = [
            float(coco_mask.area(line[mask_type])) / (width * height)
            for line in found
            for mask_type in MASK_TYPES
        ]
        return [len(found), *(line["score"] for line in found), *areas]

    return work


def stages(model: Detector) -> list[tuple[Any, str, str]]:
    """Which methods are which stages."""
    return [
        (model.backbone, "forward", "trunk"),
        (model.neck, "forward", "FPN"),
        (model, "proposals", "RPN"),
        (model.roi_head, "detect", "box head"),
        (QuasiDenseTracker, "update", "tracker"),
        (model.roi_head, "add_masks", "mask heads"),
    ]


def lines(
    watch: Watch,
    model: Detector,
    run: RunConfig,
    image: npt.NDArray[np.uint8],
    shown: Frame,
    device: torch.device,
) -> list[dict[str, Any]]:
    """The predictions of a frame, as `vatrack predict` makes them."""
    inputs = [(0, to_input(image, shown, (shown.width, shown.height)))]
    (tracked,) = FramePredictor(model, run.inference, device, run.compute).track(inputs)
    with watch.stage("paste + RLE"):
        return tracked.predictions(run.inference.mask_threshold)


@torch.inference_mode()
def plain_lines(
    watch: Watch,
    model: Detector,
    run: RunConfig,
    image: npt.NDArray[np.uint8],
    shown: Frame,
    device: torch.device,
) -> list[dict[str, Any]]:
    """The same, step by step, with masks drawn in the whole frame."""
    size, scale = (shown.height, shown.width), torch.ones(4, device=device)
    features = model.features(plain.network_input(image).to(device))
    (proposals,), _ = model.proposals(features, [size])
    found = model.roi_head.detect(features, proposals, size, scale, run.inference)
    boxes = found.boxes[model.roi_head.layout.primary]
    tracked = QuasiDenseTracker(run.inference.tracker).update(
        boxes, found.scores, found.labels, found.embeddings, 0
    )
    kept = tracked.ids >= 0
    found = found.select(tracked.rows[kept.to(device)])
    found = model.roi_head.add_masks(features, found, scale)
    with watch.stage("paste + RLE"):
        threshold = run.inference.mask_threshold
        return list(plain.to_lines(model, found, tracked.ids[kept], shown, threshold))


SUBJECT = Subject(
    about="One frame by stage, from the normalised frame to lines of predictions.",
    unit="frame",
    plain="float32, eager, `conv2d`, no setting of the allocator, masks pasted into whole frames",
    cases=cases,
    prepare=prepare,
    tolerance=1e-3,
    gflop=partial(count_gflop, prepare),
    gpu=True,
)
