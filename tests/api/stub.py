"""A predictor without a network: squares that move, a new track every third frame.

`python -m tests.api.stub VIDEO OUT` tracks a video with it and prints the peak of its memory in kB.
"""

from __future__ import annotations

import resource
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


def main(video: str, out: str) -> None:
    from vatrack.api.track import track_videos

    setattr(predictor, "FramePredictor", Squares)  # noqa: B010
    for _ in track_videos(make_predictor(), [video], Path(out)):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main(*sys.argv[1:])
