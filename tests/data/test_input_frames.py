"""Test frames as the network reads them (spec 2.6)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.data.made import annotation, write_clip
from vatrack.common.errors import InputError
from vatrack.data.frames import AnnotationFile
from vatrack.data.input_frames import FrameDataset


def test_frame_of_another_size_than_annotated_is_an_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path, [annotation(0, 0, 1)])
    frames = AnnotationFile(path).clips[0]
    assert FrameDataset(frames, tmp_path, (64, 48))[0].image.shape == (1, 3, 64, 64)
    assert cv2.imwrite(str(tmp_path / frames[0].file_name), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(InputError, match=r"000000\.bmp: is 20 x 20 pixels.*64 x 48"):
        FrameDataset(frames, tmp_path, (64, 48))[0]
