"""A predictor without a network: squares that move, a new track every third frame.

`python -m tests.api.stub OUT VIDEO...` tracks videos with it, one after the other, and prints the
peak of its memory in bytes after each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.models.small import SMALL, small_network
from vatrack.api import predictor
from vatrack.config import Backbone, Config, Method
from vatrack.data.input_frames import InputFrame
from vatrack.inference.predictor import TrackedFrame

SCORES = (0.9, 0.4)
FRAMES_A_TRACK = 3


class Squares:
    """In place of the network and its tracker: two objects a frame, the second with a low score."""

    def __init__(self, *_: Any) -> None:
        pass

    def track(self, inputs: Iterable[tuple[int, InputFrame]]) -> Iterator[TrackedFrame]:
        for number, item in inputs:
            height, width = item.frame.height, item.frame.width
            box = np.array([0, 0, width / 2, height / 2], np.float32)
            boxes = np.stack([box, box + np.array([width / 4, height / 4] * 2, np.float32)])
            full = np.ones((2, 28, 28), np.float32)
            half = full.copy()
            half[:, :, 14:] = 0
            yield TrackedFrame(
                item.frame,
                {"amodal": boxes},
                np.array(SCORES, np.float32),
                np.array([0, 1]),
                np.array([0, 1]) + 2 * (number // FRAMES_A_TRACK),
                {"amodal": full, "visible": half},
                {"amodal": "amodal", "visible": "amodal"},
            )


def settings(method: Method = Method.VATRACK) -> Any:
    """Of a small network, as tests/conftest.py has them."""
    return Config.model_validate(
        {"model": SMALL.model_dump(), "input": {"image_scale": (96, 64)}}
    ).for_run(method, Backbone.RESNET18)


def make_predictor() -> predictor.Predictor:
    """Of a small network that has learnt nothing."""
    model = small_network(Method.VATRACK).eval()
    return predictor.Predictor(model, settings(), torch.device("cpu"))


def peak_bytes() -> int:
    """Most memory that this process has had. (What getrusage says begins with the peak of the
    process that started this one.)"""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main(out: str, *videos: str) -> None:
    """Tracks videos one after the other; prints the peak of memory after each."""
    from vatrack.api.track import track_videos

    setattr(predictor, "FramePredictor", Squares)  # noqa: B010
    for _ in track_videos(make_predictor(), list(videos), Path(out)):
        print(peak_bytes(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
