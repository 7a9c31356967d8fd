"""The video of ground truth beside predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.scenes import add_object, detection, document, rectangle, write_scene
from tests.video.test_reader import read
from vatrack.common.errors import InputError
from vatrack.reporting.layers import GREY
from vatrack.reporting.overlay import VIDEO_TILE, VIDEO_TITLE, write_overlay

LEFT, RIGHT = (20, 20, 40, 50), (100, 30, 40, 60)  # x, y, width, height of two objects


def files(tmp_path: Path, predictions: list[dict[str, Any]], frames: int = 3) -> dict[str, Any]:
    joint = document([frames])
    for image in range(1, frames + 1):
        add_object(joint, image, 1, 5, rectangle(*LEFT))
        hidden = rectangle(*RIGHT)
        hidden[:, 120:] = 0
        add_object(joint, image, 3, 6, rectangle(*RIGHT), hidden)
    return write_scene(tmp_path, joint, predictions)


def outputs(tmp_path: Path) -> dict[str, Any]:
    return {"out": tmp_path / "o.png", "video": tmp_path / "o.mp4"}


def colour_at(frame: np.ndarray, side: int, x: float, y: float) -> np.ndarray:
    """The mean colour around a place of the original image."""
    height, width = VIDEO_TILE
    scale = min(height / 120, width / 160)
    column = round(side * width + (width - 160 * scale) / 2 + x * scale)
    row = round(VIDEO_TITLE + (height - 120 * scale) / 2 + y * scale)
    return frame[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3).mean(0)


def test_found_objects_have_the_colour_of_the_true_ones(tmp_path: Path) -> None:
    predictions = []
    for image in (1, 2, 3):
        near = rectangle(LEFT[0] + 2, LEFT[1], LEFT[2], LEFT[3])
        wrong = rectangle(30, 90, 60, 20)
        predictions += [
            detection(image, 1, 0.9, 7, near, near),
            detection(image, 2, 0.8, 8, wrong, wrong),
            detection(image, 3, 0.2, 9, rectangle(*RIGHT), rectangle(*RIGHT)),  # below the score
        ]
    paths = files(tmp_path, predictions)
    found = write_overlay(**paths, **outputs(tmp_path), score=0.5, clips=3, rate=5)
    assert (found.clips, found.frames) == (1, 3)
    frames, known = read(tmp_path / "o.mp4")
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.2, 0.4])
    assert (known.height, known.width) == (VIDEO_TILE[0] + VIDEO_TITLE, 2 * VIDEO_TILE[1])
    frame = frames[1].image.astype(float)
    true, predicted = colour_at(frame, 0, 40, 45), colour_at(frame, 1, 42, 45)
    assert np.abs(true - predicted).max() < 12
    assert np.abs(true - 60).max() > 30  # filled
    # What belongs to no object is grey, and what is below the score is not drawn.
    false = colour_at(frame, 1, 60, 100)
    assert np.abs(false - (np.array(GREY) + 60) / 2).max() < 12
    assert np.abs(colour_at(frame, 1, 110, 60) - 60).max() < 8
    # The hidden part is hatched: neither bare nor filled.
    visible, hidden = colour_at(frame, 0, 110, 60), colour_at(frame, 0, 130, 60)
    assert np.abs(visible - 60).max() > 30
    assert 5 < np.abs(hidden - 60).max() < np.abs(visible - 60).max()


@pytest.mark.filterwarnings("ignore:.*contains no predictions:UserWarning")
def test_frames_without_objects_and_other_sizes(tmp_path: Path) -> None:
    paths = files(tmp_path, [])
    found = write_overlay(**paths, **outputs(tmp_path), score=0.5, clips=1)
    assert found.frames == 3
    frames, _ = read(tmp_path / "o.mp4")
    assert np.abs(colour_at(frames[0].image.astype(float), 1, 40, 45) - 60).max() < 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video": Path("o.avi")}, "its name must end in .mp4"),
        ({"rate": 0.0}, "--fps 0.0"),
        ({"rate": 1000.0}, "--fps 1000.0"),
        ({"score": 50}, "the score threshold is 50; it must be from 0 to 1"),
    ],
)
def test_wrong_settings(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {**files(tmp_path, []), **outputs(tmp_path)}
    with pytest.raises(InputError, match=message):
        write_overlay(**(arguments | {"score": 0.5, "clips": 1} | changes))
    assert not (tmp_path / "o.png").exists()


@pytest.mark.filterwarnings("ignore:.*contains no predictions:UserWarning")
def test_a_frame_that_is_not_there_leaves_no_video(tmp_path: Path) -> None:
    paths = files(tmp_path, [], frames=9)
    min((tmp_path / "images").rglob("*.png")).unlink()  # which the sheet does not show
    with pytest.raises(InputError, match="no such frame"):
        write_overlay(**paths, **outputs(tmp_path), score=0.5, clips=1)
    assert (tmp_path / "o.png").exists() and not (tmp_path / "o.mp4").exists()
