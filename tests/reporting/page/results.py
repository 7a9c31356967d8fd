"""A folder of results that was never computed: its sizes are those of the real set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.evaluation.scenes import add_object, detection, document, rectangle, write_scene
from tests.reporting.tables.made_up import run_folder
from vatrack.common.mask_types import MASK_TYPES
from vatrack.reporting.views_video import write_views

EVIL = "</script><script>alert('x')</script>"
QUOTED = "a \"b\" & 'c' <i>d</i>"
CLASSES = [QUOTED, *(f"class {number}" for number in range(1, 24))]
LEVELS = {"amodal": ("image/amodal", "video/amodal"), "visible": ("image/visible", "video/visible")}


def results_folder(
    root: Path,
    *,
    methods: Sequence[str] = ("vatrack",),
    backbones: Sequence[str] = ("resnet18",),
    videos: int = 3,
) -> Path:
    """Runs of these methods and backbones, and what the workflow leaves beside them."""
    number = 0
    for backbone in backbones:
        for method in methods:
            run = run_folder(
                root / "runs" / f"{method}__{backbone}",
                20.0 + number,
                method=method,
                backbone=backbone,
            )
            _complete(run, videos, number)
            number += 1
    (root / "benchmarks" / "train").mkdir(parents=True)
    row = "s\tmax_rss\n{}\t{}\n"
    (root / "benchmarks" / "train" / "a.tsv").write_text(row.format(7300, 1500.5))
    (root / "benchmarks" / "tables.tsv").write_text(row.format(65, "-"))
    (root / "benchmarks" / "evaluate.tsv").write_text(row.format(50, 800) + "40\t20\n")
    sheets = root / "cuts" / "sheets"
    sheets.mkdir(parents=True)
    for place in range(10):
        cv2.imwrite(str(sheets / f"video_{place}.jpg"), np.full((60, 200, 3), 90, np.uint8))
    return root


def _complete(run: Path, videos: int, number: int) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    per_class: dict[str, Any] = {}
    for levels in LEVELS.values():
        for level in levels:
            value = metrics[f"{level}/AP50"]
            per_class[level] = {name: {"AP": 10.0, "AP50": value} for name in CLASSES}
    own = {level: {"AP": 5.0, "AP50": 50.0} for level in per_class}
    curve = [round(1 - place / 110, 4) for place in range(101)]
    details = {
        "per_class": per_class,
        "per_video": {f"{EVIL} {place}": own for place in range(videos)},
        "classes": CLASSES,
        "curves": {level: {"IoU50": curve, "IoU75": curve} for level in per_class},
    }
    (run / "details.json").write_text(json.dumps(details))
    lines: list[dict[str, Any]] = [
        {"step": step, "epoch": 1, "lr": 0.01, "loss": 5 / step, "loss_mask": 2 / step}
        for step in range(10, 600, 10)
    ]
    for epoch in (1, 2):
        validation = {f"{level}/AP": 10.0 * epoch + number for level in per_class}
        lines.append({"step": 300 * epoch, "epoch": epoch, "validation": validation})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "training.json").write_text(
        json.dumps({"epochs": 2, "iterations": 600, "seconds": 93784.0, "processes": 1})
    )
    candidates = [{"epoch": 1, "value": 10.04}, {"epoch": 2, "value": 20.0}]
    choice = {
        "epoch": 2,
        "checkpoint": "checkpoints/epoch_02.pt",
        "metric": "video/amodal/AP",
        "value": 20.0,
        "candidates": candidates,
    }
    (run / "best.json").write_text(json.dumps(choice))
    versions = {"vatrack": "1.2.3", "packages": {"torch": "2.15.0"}}
    (run / "environment.json").write_text(json.dumps(versions))


def scene(folder: Path, clips: int, masks: tuple[str, ...] = ("amodal", "visible")) -> dict:
    """Ground truth, predictions and images of clips of three frames: an object half hidden."""
    joint, predictions = document([3] * clips), []
    for image in joint["images"]:
        whole, seen = rectangle(40, 30, 60, 40), rectangle(40, 30, 30, 40)
        add_object(joint, image["id"], 3, 10 * image["video_id"], whole, seen)
        shown = (
            mask if name in masks else None
            for name, mask in zip(MASK_TYPES, (whole, seen), strict=True)
        )
        predictions.append(detection(image["id"], 3, 0.9, 7, *shown))
    return write_scene(folder, joint, predictions)


def add_views(root: Path, folder: Path, runs: list[str], clips: int = 2) -> None:
    """Clips of some runs."""
    files = scene(folder, clips)
    for run in runs:
        write_views(**files, out=root / "runs" / run / "views")
