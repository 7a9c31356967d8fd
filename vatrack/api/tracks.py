"""A table of the tracks of a video, a row each, written while the video is read."""

from __future__ import annotations

import csv
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from vatrack.api.results import FrameResult

COLUMNS = (
    "track_id", "class", "shot", "frames", "first_frame", "last_frame", "first_s", "last_s",
    "mean_score", "mean_visibility",
)  # fmt: skip


@dataclass
class _Track:
    """What is summed up of a track."""

    shot: int
    first: tuple[int, float]
    last: tuple[int, float]
    names: Counter[str] = field(default_factory=Counter)
    score: float = 0.0
    frames: int = 0
    visibility: float = 0.0
    measured: int = 0


class TrackTable:
    """Sums up tracks and writes each when it cannot go on any more, so that memory does not grow
    with their number.

    Args:
        stream: takes CSV lines; they come in the order in which tracks end.
        memory: frames after which a track that is not seen has ended (the tracker's memory).

    Attributes:
        counts: number of ended tracks by class.
    """

    def __init__(self, stream: IO[str], memory: int) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self._memory = memory
        self._open: OrderedDict[int, _Track] = OrderedDict()  # by when they were last seen
        self._position = 0
        self._seen: OrderedDict[int, int] = OrderedDict()
        self.counts: Counter[str] = Counter()

    def add(self, result: FrameResult) -> None:
        """Adds the objects of the next frame."""
        self._position += 1
        visibility = result.visibility()
        for row, track in enumerate(result.track_ids.tolist()):
            now = (result.index, result.time_s)
            item = self._open.setdefault(track, _Track(result.shot, now, now))
            item.last = now
            item.names[result.names[row]] += 1
            item.score += float(result.scores[row])
            item.frames += 1
            if np.isfinite(visibility[row]):
                item.visibility += float(visibility[row])
                item.measured += 1
            self._open.move_to_end(track)
            self._seen[track] = self._position
        for track in self._ended(result.shot):
            self._write(track)

    def _ended(self, shot: int) -> Iterator[int]:
        for track, item in list(self._open.items()):
            if item.shot == shot and self._position - self._seen[track] <= self._memory:
                return
            yield track

    def close(self) -> None:
        """Writes the tracks that are left."""
        for track in list(self._open):
            self._write(track)

    def _write(self, track: int) -> None:
        item = self._open.pop(track)
        del self._seen[track]
        name = item.names.most_common(1)[0][0]
        self.counts[name] += 1
        self._writer.writerow(
            [
                track,
                name,
                item.shot,
                item.frames,
                item.first[0],
                item.last[0],
                f"{item.first[1]:.3f}",
                f"{item.last[1]:.3f}",
                f"{item.score / item.frames:.4f}",
                f"{item.visibility / item.measured:.4f}" if item.measured else "",
            ]
        )
