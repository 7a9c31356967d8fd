"""The window of `track --show`, where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vatrack.api.window import Window
from vatrack.common.errors import InputError


def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match=r"^no display to show frames on; remove --show \(in"):
        Window("x")


def test_opencv_without_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words may take several lines."""

    def fail(*_: object) -> None:
        raise cv2.error("not implemented;\n  rebuild the library\n")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", fail)
    told = (
        r"^no display to show frames on \(OpenCV: not implemented; rebuild the library\); "
        r"remove --show \(in Python show=True\)$"
    )
    with pytest.raises(InputError, match=told):
        Window("x").show(np.zeros((2, 2, 3), np.uint8))
