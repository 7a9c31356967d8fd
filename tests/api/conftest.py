"""A trained miniature network and a video for it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.conftest import TinyData
from vatrack.api.predictor import Predictor, load
from vatrack.common.images import read_image
from vatrack.config import RunConfig
from vatrack.data.frames import AnnotationFile, Frame
from vatrack.video.writer import VideoWriter


@pytest.fixture(scope="session")
def checkpoint(tiny_run: tuple[RunConfig, Path]) -> Path:
    return tiny_run[1] / "checkpoints" / "epoch_02.pt"


@pytest.fixture(scope="session")
def predictor(checkpoint: Path) -> Predictor:
    return load(checkpoint, device="cpu")


@pytest.fixture(scope="session")
def clip(tiny_data: TinyData) -> list[Frame]:
    """The frames of a clip of the tiny set."""
    return AnnotationFile(tiny_data.annotations / "valid" / "joint.json").clips[0]


@pytest.fixture(scope="session")
def folder(clip: list[Frame], tiny_data: TinyData) -> Path:
    """The folder of the clip's frames."""
    first = tiny_data.images / clip[0].file_name
    return first.parent


@pytest.fixture(scope="session")
def video(clip: list[Frame], tiny_data: TinyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip as a video, without loss but for the colours."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with VideoWriter(path, (clip[0].height, clip[0].width), Fraction(25)) as writer:
        for number, frame in enumerate(clip):
            writer.write(read_image(tiny_data.images / frame.file_name), number / 25)
    return path
