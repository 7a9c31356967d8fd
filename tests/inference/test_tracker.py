"""Quasi-dense tracker: the worked example (spec 9.8) and its edges."""

from __future__ import annotations

import torch

from vatrack.config import TrackerConfig
from vatrack.inference.tracker import QuasiDenseTracker


def _update(tracker: QuasiDenseTracker, rows: list[tuple], frame: int) -> list[tuple[int, int]]:
    boxes = torch.tensor([row[0] for row in rows], dtype=torch.float32)
    embeddings = torch.tensor([row[2] for row in rows], dtype=torch.float32)
    labels = torch.tensor([row[1] for row in rows])
    tracked = tracker.update(boxes[:, :4], boxes[:, 4], labels, embeddings, frame)
    return list(zip(tracked.rows.tolist(), tracked.ids.tolist(), strict=True))


def test_worked_example() -> None:
    tracker = QuasiDenseTracker(TrackerConfig())
    first = [
        ((0, 0, 100, 100, 0.9), 0, (3, 0, 0)),
        ((0, 0, 100, 90, 0.8), 0, (3, 0, 0)),
        ((0, 0, 100, 80, 0.7), 1, (3, 0, 0)),
        ((200, 200, 300, 300, 0.6), 1, (1, 1, 1)),
    ]
    assert _update(tracker, first, 0) == [(0, 0), (3, 1)]
    second = [
        ((5, 0, 105, 100, 0.5), 0, (2.5, 0.5, 0)),
        ((205, 200, 305, 300, 0.95), 1, (1, 1, 1.2)),
        ((400, 400, 500, 500, 0.02), 1, (0.9, 0.9, 0.9)),
    ]
    assert _update(tracker, second, 1) == [(1, 2), (0, 0), (2, 3)]
    torch.testing.assert_close(tracker.tracks[0].embedding, torch.tensor([2.6, 0.4, 0.0]))
    assert _update(tracker, [((205, 200, 305, 300, 0.95), 2, (1, 1, 1.2))], 2) == [(0, 4)]


def test_duplicates_are_removed_also_below_a_removed_one() -> None:
    """Not a greedy suppression: a removed detection still removes those below it (quirk I5)."""
    tracker = QuasiDenseTracker(TrackerConfig())
    chain = [((0, 0, 100, 100 - 15 * i, 0.9 - 0.1 * i), 0, (1, 0)) for i in range(3)]
    assert [row for row, _ in _update(tracker, chain, 0)] == [0]


def test_a_track_is_forgotten_after_the_memory() -> None:
    tracker = QuasiDenseTracker(TrackerConfig(memo_frames=3))
    seen, other = ((0, 0, 10, 10, 0.9), 0, (5, 0)), ((50, 50, 60, 60, 0.9), 1, (0, 5))
    assert _update(tracker, [seen], 0) == [(0, 0)]
    assert _update(tracker, [other], 2) == [(0, 1)]
    assert _update(tracker, [seen], 2) == [(0, 0)]
    assert _update(tracker, [other], 5) == [(0, 1)], (
        "frame 5: track 0 was last seen 3 frames ago and goes afterwards"
    )
    assert _update(tracker, [seen], 6) == [(0, 2)]


def test_no_detection_leaves_everything_as_it_is() -> None:
    """Tracks that are due stay, and the backdrops of the frame before are not pushed out."""
    tracker = QuasiDenseTracker(TrackerConfig(memo_frames=3, init_score=0.5))
    rows = [((0, 0, 10, 10, 0.9), 0, (5, 0)), ((50, 50, 60, 60, 0.4), 0, (0, 5))]
    assert _update(tracker, rows, 0) == [(0, 0), (1, -1)]
    empty = tracker.update(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), torch.zeros(0, 2), 9
    )
    assert len(empty.rows) == len(empty.ids) == 0
    assert list(tracker.tracks) == [0]
    assert [len(backdrop.labels) for backdrop in tracker.backdrops] == [1]
    assert _update(tracker, rows[:1], 10) == [(0, 0)]


def test_an_embedding_that_is_no_number_matches_nothing() -> None:
    tracker = QuasiDenseTracker(TrackerConfig())
    assert _update(tracker, [((0, 0, 10, 10, 0.9), 0, (5, 0))], 0) == [(0, 0)]
    assert _update(tracker, [((0, 0, 10, 10, 0.9), 1, (float("nan"), 0))], 1) == [(0, 1)]
