"""Files of every form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.evaluation.scenes import random_scene
from tests.sailvos.official import write_raw
from vatrack.common.files import write_json
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.runs.metrics_log import TrainingPoint, append
from vatrack.sailvos.index import build_index


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file of every form, in the working folder."""
    joint, predictions = random_scene(1)
    write_json(tmp_path / "joint.json", joint)
    write_json(tmp_path / "tracks.json", video_ground_truth(joint, "amodal", 0.75))
    (tmp_path / "found.jsonl").write_text("".join(json.dumps(one) + "\n" for one in predictions))
    write_json(tmp_path / "object.json", {"predictions": predictions}, indent=1)
    paths = write_raw(tmp_path / "raw", {"train": {"a": 4}, "valid": {"b": 4}})
    build_index(tmp_path / "raw", paths, tmp_path / "index.json")
    write_json(tmp_path / "clips.json", {"a__9": [], "a__3": ["000003.bmp", "000004.bmp"]})
    (tmp_path / "found.jsonl.gz").write_bytes(
        gzip.compress((tmp_path / "found.jsonl").read_bytes())
    )
    write_json(tmp_path / "metrics.json", {"image/amodal/AP": 1.0})
    write_json(tmp_path / "details.json", {"per_class": {}, "per_video": {}})
    torch.save({"a": torch.zeros(1)}, tmp_path / "best.pt")
    np.savez(tmp_path / "shard.npz", record=np.zeros(1))
    append(tmp_path / "metrics.jsonl", TrainingPoint(1, 1, 1.0, {"loss": 2.0}))
    append(tmp_path / "metrics.jsonl", TrainingPoint(2, 1, 2.0, {"loss": 1.0}))
    (tmp_path / "c.yaml").write_text("dataset: {clips: {structure: index.json}}\n")
    (tmp_path / "wrong" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
