"""A window that shows frames while they are made."""

from __future__ import annotations

import os
import sys
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from vatrack.common.errors import InputError

NO_WINDOW, ADVICE = "no display to show frames on", "remove --show (in Python show=True)"
ENDS = (ord("q"), 27)  # 27: the Escape key


class Window:
    """Shows frames; used by the main thread, as OpenCV's windows want it.

    Raises:
        InputError: there is no display, or OpenCV was built without windows.
    """

    def __init__(self, name: str) -> None:
        check_display()
        self.name, self._open = name, False

    def __enter__(self) -> Window:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._open:
            cv2.destroyWindow(self.name)

    def show(self, image: npt.NDArray[np.uint8]) -> bool:
        """Shows an image, BGR; False where the user has pressed q or Escape."""
        try:
            cv2.imshow(self.name, image)
            self._open = True
            return cv2.waitKey(1) & 0xFF not in ENDS
        except cv2.error as error:
            words = " ".join(str(error.err or error).split())
            raise InputError(f"{NO_WINDOW} (OpenCV: {words}); {ADVICE}") from None


def check_display() -> None:
    """Raises InputError where there is no display."""
    graphical = sys.platform in ("darwin", "win32")
    if not (graphical or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(f"{NO_WINDOW}; {ADVICE}")
