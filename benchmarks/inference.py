"""Inference of one frame, by stage: from the normalised frame to lines of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import ALL, Case, Subject, Watch, Work
from benchmarks.networks import (
    ROUNDED,
    WAYS,
    FlopWatch,
    frame,
    network,
    settings,
    watched,
    ways_here,
)
from benchmarks.plain import to_lines
from vatrack.common.device import choose_device
from vatrack.data.frames import Frame
from vatrack.inference.predictor import ClipPredictor, to_predictions


def cases(size: str) -> list[Case]:
    """ResNet-50, and at full size ResNeXt-101, too."""
    options: dict[str, Any] = {
        "tiny": {"width": 96, "height": 64, "small": True},
        "small": {"width": 640, "height": 384, "proposals": 300, "detections": 30},
        "full": {"width": 1280, "height": 800},
    }[size]
    backbones = {
        "tiny": ["resnet18"],
        "small": ["resnet50"],
        "full": ["resnet50", "resnext101_64x4d"],
    }[size]
    return [
        Case(name, 1, ways_here(), ROUNDED, options=options | {"backbone": name})
        for name in backbones
    ]


def prepare(case: Case, _: Path, way: str) -> Work:
    """A round is the same frame, seen by a new tracker."""
    run = settings(case.options, way)
    device = choose_device(run.compute.device)
    width, height = case.options["width"], case.options["height"]
    image = frame(width, height, 0).to(device)
    model = network(run).eval().to(device)
    lines = to_lines if WAYS[way].plain else to_predictions
    shown = Frame(1, 1, 0, "frame.png", width, height)

    def work(watch: Watch) -> Sequence[float]:
        predictor = ClipPredictor(model, run.inference, device, run.compute.precision)
        with watched(watch, stages(predictor)):
            found = predictor.step(image, (height, width), torch.ones(4), 0)
        assert found is not None, "the network finds nothing in the frame"
        with watch.stage("paste + RLE"):
            written = list(lines(model, *found, shown, run.inference.mask_threshold))
        areas = [float(mask.sum()) / mask.numel() for mask in found[0].masks.values()]
        return [len(written), *found[0].scores.tolist(), *areas]

    return work


def stages(predictor: ClipPredictor) -> list[tuple[Any, str, str]]:
    """Which methods are which stages."""
    model = predictor.model
    return [
        (model.backbone, "forward", "trunk"),
        (model.neck, "forward", "FPN"),
        (model, "proposals", "RPN"),
        (model.roi_head, "detect", "box head"),
        (predictor.tracker, "update", "tracker"),
        (model.roi_head, "add_masks", "mask heads"),
    ]


def gflop(case: Case, folder: Path) -> dict[str, float]:
    """The arithmetic of one frame."""
    watch = FlopWatch()
    with watch.stage(ALL):
        prepare(case, folder, "plain")(watch)
    return watch.seconds


SUBJECT = Subject(
    about="One frame by stage, from the normalised frame to lines of predictions.",
    unit="frame",
    plain="float32, eager, `conv2d`, no setting of the allocator, masks pasted into whole frames",
    cases=cases,
    prepare=prepare,
    tolerance=1e-3,
    gflop=gflop,
    gpu=True,
)
