"""The table of tracks, and where shots are cut."""

from __future__ import annotations

import csv
import dataclasses
import io
import tracemalloc

import numpy as np

from tests.api.test_results import code, result, square
from vatrack.api.results import FrameResult
from vatrack.api.shots import ShotDetector
from vatrack.api.tracks import TrackTable
from vatrack.sailvos.content import content_scores
from vatrack.sailvos.cuts import find_cuts


def seen(index: int, ids: list[int], shot: int = 0, score: float = 0.5) -> FrameResult:
    count = len(ids)
    return dataclasses.replace(
        result(),
        index=index,
        time_s=index / 10,
        shot=shot,
        boxes=np.zeros((count, 4), np.float32),
        scores=np.full(count, score, np.float32),
        class_ids=np.ones(count, np.int64),
        names=("person",) * count,
        track_ids=np.array(ids, np.int64),
        rles={
            "amodal": [code(square(0, 0, 10, 10))] * count,
            "visible": [code(square(0, 0, 5, 10))] * count,
        },
    )


def rows(results: list[FrameResult], memory: int) -> list[dict[str, str]]:
    stream = io.StringIO()
    table = TrackTable(stream, memory)
    for item in results:
        table.add(item)
    table.close()
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_a_row_sums_a_track_up() -> None:
    found = rows([seen(0, [3], score=0.5), seen(1, []), seen(2, [3, 4], score=1.0)], 5)
    first = next(row for row in found if row["track_id"] == "3")
    assert first == {
        "track_id": "3", "class": "person", "shot": "0", "frames": "2", "first_frame": "0",
        "last_frame": "2", "first_s": "0.000", "last_s": "0.200", "mean_score": "0.7500",
        "mean_visibility": "0.5000",
    }  # fmt: skip


def test_tracks_are_written_when_they_have_ended() -> None:
    stream = io.StringIO()
    table = TrackTable(stream, memory=2)
    table.add(seen(0, [1, 2]))
    for index in range(1, 4):
        table.add(seen(index, [2]))
        written = stream.getvalue().count("\n") - 1
        assert written == (1 if index > 2 else 0), index
    table.add(seen(4, [7], shot=1))  # a cut ends all tracks
    assert stream.getvalue().count("\n") - 1 == 2
    table.close()
    assert table.counts == {"person": 3}


def test_memory_does_not_grow_with_the_number_of_tracks() -> None:
    def peak(frames: int) -> int:
        table = TrackTable(io.StringIO(), memory=3)
        table._writer = csv.writer(_Nowhere())
        tracemalloc.start()
        for index in range(frames):
            table.add(seen(index, [index]))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(50)
    assert peak(3000) < peak(100) + 100_000


class _Nowhere(io.StringIO):
    def write(self, text: str) -> int:
        return len(text)


def test_shots_are_those_of_the_cuts_of_a_dataset() -> None:
    """But for the frames that must follow a cut, which a stream cannot know."""
    chance = np.random.default_rng(5)
    scenes = chance.integers(0, 256, (6, 3))
    lengths = [9, 3, 14, 7, 20, 12]
    images = [
        np.clip(scene + chance.integers(-3, 4, (24, 32, 3)), 0, 255).astype(np.uint8)
        for scene, length in zip(scenes, lengths, strict=True)
        for _ in range(length)
    ]
    detector = ShotDetector()
    found = [detector.shot(image) for image in images]
    scores = list(content_scores(images))
    clips = find_cuts("v", scores, 27.0, 5)
    expected = [number for number, clip in enumerate(clips) for _ in range(clip.start, clip.stop)]
    assert len(clips) > 3
    assert found == expected
