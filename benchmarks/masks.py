"""Masks of one frame from the heads' 28 x 28 probabilities to run-length codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
import torch

from benchmarks import plain
from benchmarks.measure import Case, Subject, Watch, Work
from vatrack.inference.paste import paste_codes


def cases(size: str) -> list[Case]:
    """100 masks, or a few."""
    options = {
        "tiny": {"masks": 5, "width": 96, "height": 64},
        "small": {"masks": 50, "width": 640, "height": 400},
        "full": {"masks": 100, "width": 1280, "height": 800},
    }[size]
    return [Case("paste + RLE", 1, ("plain", "fast"), options=options)]


def prepare(case: Case, _: Path, way: str) -> Work:
    """A round is one frame."""
    width, height = case.options["width"], case.options["height"]
    codes = plain_codes if way == "plain" else paste_codes
    masks, boxes = objects(case.options["masks"], width, height)

    def work(watch: Watch) -> Sequence[float]:
        return [crc32(code) for code in codes(masks, boxes, (height, width), 0.5)]

    return work


def plain_codes(
    masks: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int], threshold: float
) -> list[bytes]:
    """The codes by way of whole bitmaps."""
    bitmaps = plain.paste(masks, boxes, size, threshold)
    return [plain.encode(bitmap)["counts"].encode() for bitmap in bitmaps]


def objects(count: int, width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth masks (n, 28, 28) and boxes (n, 4), some of which reach out of the frame."""
    random = np.random.default_rng(0)
    blobs = [cv2.GaussianBlur(random.normal(0, 1, (28, 28)), (0, 0), 4) for _ in range(count)]
    masks = torch.sigmoid(8 + 60 * torch.from_numpy(np.stack(blobs)).float())
    sides = np.exp(random.normal(-2, 0.7, (count, 2))) * (width, height)
    corners = random.uniform(-0.05, 0.9, (count, 2)) * (width, height)
    return masks, torch.from_numpy(np.concatenate([corners, corners + sides], 1)).float()


SUBJECT = Subject(
    about="Masks of one frame from the heads' 28 x 28 probabilities to run-length codes.",
    unit="frame",
    plain="every mask sampled in the whole frame, pycocotools' encoding of the bitmap",
    cases=cases,
    prepare=prepare,
)
