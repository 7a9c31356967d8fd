"""Where a stream of frames is cut into shots."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vatrack.config.dataset import ClipsConfig
from vatrack.sailvos.content import content_scores


class ShotDetector:
    """Numbers the shots of a video while it is read (spec 1.3).

    As in SAIL-VOS-cut a cut is a change of content of at least the threshold that leaves at least
    `min_frames` frames before it; that some frames must follow cannot be known in a stream.
    """

    def __init__(self, settings: ClipsConfig | None = None) -> None:
        settings = settings or ClipsConfig()
        self._threshold, self._min_frames = settings.threshold, settings.min_frames
        self._waiting: deque[npt.NDArray[np.uint8]] = deque()
        self._scores = content_scores(self._images())
        self._shot, self._length = 0, 0

    def _images(self) -> Iterator[npt.NDArray[np.uint8]]:
        while True:
            yield self._waiting.popleft()

    def shot(self, image: npt.NDArray[np.uint8]) -> int:
        """The number of the shot, from 0, that the next frame belongs to.

        Args:
            image: uint8 [H, W, 3] BGR; it must stay as it is until the next call.
        """
        self._waiting.append(image)
        if self._length or self._shot:
            score = next(self._scores)
            if score >= self._threshold and self._length >= self._min_frames:
                self._shot, self._length = self._shot + 1, 0
        self._length += 1
        return self._shot
