"""A ground truth split by video."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.evaluation.scenes import random_scene
from vatrack.evaluation.io import offsets


def test_a_ground_truth_is_split_alike_in_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "joint.json"
    joint, _ = random_scene(3)
    path.write_text(json.dumps(joint))
    head, expected = offsets.find_truth(path)
    for size in (64, 1000, 5000):
        monkeypatch.setattr("vatrack.common.json_stream.PARSED_TOGETHER", size)
        again, found = offsets.find_truth(path)
        assert again.heads == head.heads and found.keys() == expected.keys()
        for video, places in found.items():
            assert places.tolist() == expected[video].tolist()
