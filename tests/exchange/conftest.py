"""A ground truth with predictions for the tests of the formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.scenes import random_scene
from tests.exchange.exchanged import write


@pytest.fixture
def scene(tmp_path: Path) -> tuple[Path, Path]:
    """A ground truth and predictions whose tracks keep their classes."""
    joint, predictions = random_scene(11)
    first: dict[Any, int] = {}
    video = {image["id"]: image["video_id"] for image in joint["images"]}
    kept = []
    for item in predictions:
        key = (video[item["image_id"]], item["track_id"])
        if first.setdefault(key, item["category_id"]) == item["category_id"]:
            kept.append(item)
    return write(tmp_path, joint, kept)
