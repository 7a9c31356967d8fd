"""The table of tracks: one row a track, and no more memory for more tracks."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.api.test_results import make
from vatrack.api.results import FrameResult
from vatrack.api.tracks import COLUMNS, TrackTable


def frame(index: int, tracks: list[int], shot: int = 0) -> FrameResult:
    """A frame with the two objects of `make`, or fewer, under these ids."""
    found = make(len(tracks))
    return replace(
        found, index=index, time_s=index / 10, shot=shot, track_ids=np.array(tracks, np.int64)
    )


def rows(stream: io.StringIO) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_a_row_sums_up_a_track() -> None:
    stream = io.StringIO()
    table = TrackTable(stream, memory=5)
    for index in (2, 3, 6):
        table.add(frame(index, [4, 1]))
    table.close()
    first, second = rows(stream)
    assert tuple(first) == COLUMNS
    assert first == {
        "track_id": "4", "class": "person", "shot": "0", "frames": "3", "first_frame": "2",
        "last_frame": "6", "first_s": "0.200", "last_s": "0.600", "mean_score": "0.9000",
        "mean_visibility": "0.5000",
    }  # fmt: skip
    assert (second["class"], second["mean_visibility"]) == ("chair", "0.0000")
    assert table.counts == {"person": 1, "chair": 1}


def test_a_track_ends_with_the_tracker_memory_or_the_shot() -> None:
    stream = io.StringIO()
    table = TrackTable(stream, memory=3)
    table.add(frame(0, [0]))
    for index in (1, 2):
        table.add(frame(index, [1]))
        assert rows(stream) == []
    table.add(frame(3, [1]))
    assert [row["track_id"] for row in rows(stream)] == ["0"]
    table.add(frame(4, [2], shot=1))
    assert [row["track_id"] for row in rows(stream)] == ["0", "1"]


def test_a_track_goes_on_where_the_tracker_still_sees_it() -> None:
    """Its score was too low to be shown for longer than the tracker's memory."""
    stream = io.StringIO()
    table = TrackTable(stream, memory=3)
    table.add(frame(0, [0]))
    for index in range(1, 10):
        table.add(frame(index, []), np.array([0, 8]))
    table.add(frame(10, [0]))
    table.close()
    (row,) = rows(stream)
    assert (row["track_id"], row["frames"], row["last_frame"]) == ("0", "2", "10")


def test_frames_without_any_detection_end_no_track() -> None:
    """The tracker forgets nothing then (quirk I10), and may find the object again."""
    stream = io.StringIO()
    table = TrackTable(stream, memory=3)
    table.add(frame(0, [0]))
    for index in range(1, 10):
        table.add(frame(index, []))
    table.add(frame(10, [0]))
    table.close()
    assert len(rows(stream)) == 1


def test_what_is_held_does_not_grow() -> None:
    table = TrackTable(io.StringIO(), memory=3)
    for index in range(200):
        table.add(frame(index, [2 * index, 2 * index + 1]))
        assert len(table._open) <= 8
    table.close()
    assert table.counts.total() == 400


def test_the_documentation_shows_a_table_as_it_is_written() -> None:
    page = (Path(__file__).parents[2] / "docs/formats.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```csv\n(track_id.*?)^```", page, re.MULTILINE | re.DOTALL)
    stream = io.StringIO()
    table = TrackTable(stream, memory=5)
    for index in range(48):
        result: Any = SimpleNamespace(
            index=index, time_s=index / 25, shot=0, track_ids=np.array([0]), names=["person"],
            scores=np.array([0.93]), visibility=lambda: np.array([0.81]),
        )  # fmt: skip
        table.add(result)
    table.close()
    assert stream.getvalue() == example
