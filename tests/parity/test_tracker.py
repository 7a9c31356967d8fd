"""Track ids on given detections, exactly."""

from __future__ import annotations

import pytest
import torch

from tests.golden import Case, cases
from vatrack.config import TrackerConfig
from vatrack.tracking.tracker import QuasiDenseTracker


@pytest.mark.parametrize("case", cases("tracker"))
def test_ids_memory_and_backdrops(case: Case) -> None:
    tracker = QuasiDenseTracker(TrackerConfig(**case.parameters))
    inputs = case.npz("inputs")
    for number, expected in enumerate(case.json("expected")["frames"]):
        if expected is None:
            continue
        boxes = torch.from_numpy(inputs[f"frame{number:03d}_boxes"])
        labels = torch.from_numpy(inputs[f"frame{number:03d}_labels"]).long()
        embeddings = torch.from_numpy(inputs[f"frame{number:03d}_embeddings"])
        tracked = tracker.update(boxes[:, :4], boxes[:, 4], labels, embeddings, number)
        assert tracked.rows.tolist() == expected["rows"], f"frame {number}"
        assert tracked.ids.tolist() == expected["track_ids"], f"frame {number}"
        assert tracker.tracks_so_far == expected["tracks_so_far"], f"frame {number}"
        assert sorted(tracker.tracks) == expected["remembered_ids"], f"frame {number}"
        assert [len(b.labels) for b in tracker.backdrops] == expected["backdrops"], f"frame {number}"
