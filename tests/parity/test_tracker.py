"""Track ids on given detections, exactly."""

from __future__ import annotations

import pytest
import torch

from tests.parity.golden import Case, cases
from tests.parity.measure import Measure, demand, wrong
from vatrack.config import TrackerConfig
from vatrack.inference.tracker import QuasiDenseTracker


@pytest.mark.parametrize("case", cases("tracker"))
def test_ids_memory_and_backdrops(case: Case) -> None:
    demand(measure(case))


def measure(case: Case) -> list[Measure]:
    """Compares rows, ids and what the tracker remembers after every frame; the first frame that
    differs is named."""
    tracker = QuasiDenseTracker(TrackerConfig(**case.parameters))
    inputs = case.npz("inputs")
    frames = case.json("expected")["frames"]
    for number, expected in enumerate(frames):
        if expected is None:
            continue
        boxes = torch.from_numpy(inputs[f"frame{number:03d}_boxes"])
        labels = torch.from_numpy(inputs[f"frame{number:03d}_labels"]).long()
        embeddings = torch.from_numpy(inputs[f"frame{number:03d}_embeddings"])
        tracked = tracker.update(boxes[:, :4], boxes[:, 4], labels, embeddings, number)
        ours = {
            "rows": tracked.rows.tolist(),
            "track_ids": tracked.ids.tolist(),
            "tracks_so_far": tracker.tracks_so_far,
            "remembered_ids": sorted(tracker.tracks),
            "backdrops": [len(b.labels) for b in tracker.backdrops],
        }
        differing = [
            wrong(f"{key} of frame {number}", ours[key], expected[key])
            for key in ours
            if ours[key] != expected[key]
        ]
        if differing:
            return differing
    return [wrong("ids, memory, backdrops", any(frames), True)]
