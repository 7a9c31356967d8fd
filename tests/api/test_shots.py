"""Shots of a stream are the clips of spec 1.3, but for the frames that must follow a cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vatrack.api import shots
from vatrack.api.shots import ShotDetector
from vatrack.config.dataset import ClipsConfig
from vatrack.sailvos.content import content_scores
from vatrack.sailvos.cuts import FRAMES_AFTER_CUT, find_cuts


def scene(chance: np.random.Generator, frames: int) -> list[np.ndarray]:
    """Frames that stay alike for a while."""
    images, colour = [], chance.integers(0, 256, 3)
    for _ in range(frames):
        if chance.random() < 0.2:
            colour = chance.integers(0, 256, 3)
        noise = chance.integers(0, 20, (6, 8, 3))
        images.append(np.clip(colour + noise, 0, 255).astype(np.uint8))
    return images


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_the_cuts_of_files(seed: int) -> None:
    images = scene(np.random.default_rng(seed), 60)
    detector = ShotDetector()
    numbers = [detector.shot(image) for image in images]
    cuts = [k for k in range(1, 60) if numbers[k] != numbers[k - 1]]
    assert numbers[0] == 0 and all(0 <= b - a <= 1 for a, b in pairwise(numbers))
    scores = list(content_scores(images))
    last = len(scores)
    expected = [clip.start for clip in find_cuts("v", scores, 27.0, 5)][1:]
    assert expected, "the scene has cuts"
    assert [k for k in cuts if last - k > FRAMES_AFTER_CUT] == expected
    for k in cuts:
        assert scores[k - 1] >= ClipsConfig().threshold


def test_the_settings_of_clips_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [30.0, 30.0, 30.0, 5.0, 30.0]
    monkeypatch.setattr(shots, "content_scores", lambda images: stream(images, values))
    detector = ShotDetector(ClipsConfig(threshold=20.0, min_frames=2))
    image = np.zeros((2, 2, 3), np.uint8)
    assert [detector.shot(image) for _ in range(6)] == [0, 0, 1, 1, 1, 2]


def stream(images, values):
    next(images)
    for value in values:
        next(images)
        yield value
