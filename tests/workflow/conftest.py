from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.served import served_commands
from tests.workflow.snake import Workflow

# A set and a network so small that the whole road takes about a minute; it learns nothing that is
# worth reading.
TINY: dict[str, Any] = {
    "dataset": {
        "name": "tiny",
        "synthetic": {
            "train_videos": 2,
            "valid_videos": 1,
            "frames": 16,
            "width": 128,
            "height": 80,
            "objects": 3,
            "classes": 3,
            "shots": 1,
        },
    },
    "model": {
        "norm": "group",
        "norm_groups": 8,
        "frozen_stages": 0,
        "fpn_channels": 16,
        "box_head_channels": 32,
        "mask_head_channels": 16,
        "mask_head_convs": 1,
        "track_head_channels": 16,
        "track_head_convs": 1,
        "track_head_fc": 32,
        "embedding_channels": 16,
        "train_proposals": {"pre_nms": 50, "post_nms": 20},
        "test_proposals": {"pre_nms": 50, "post_nms": 20},
        "rpn_sampler": {"number": 32, "positive_fraction": 0.5},
        "roi_sampler": {"number": 16, "positive_fraction": 0.25},
        "track_sampler": {"number": 16, "positive_fraction": 0.5},
        "class_weights": [1.0] * 25,
        "initialisation": "intended",
    },
    "training": {
        "epochs": 1,
        "batch_size": 4,
        "optimizer": {"name": "adamw", "learning_rate": 0.001, "clip_norm": 5},
        "schedule": {"name": "onecycle"},
        "log_every": 2,
    },
    "input": {"image_scale": [128, 80]},
    "compute": {"workers": 0},
    "inference": {"max_detections": 20},
    "launcher": {"cpus": 1, "minutes": 20},
}
# No process of its own for the training, which loads PyTorch once more; `finished` has one.
IN_PLACE = {"cluster": "debug"}


@pytest.fixture(scope="session")
def served_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with served_commands(tmp_path_factory.mktemp("served")) as python:
        yield python


@pytest.fixture
def served(served_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of a workflow start in no time, with a narrow network."""
    monkeypatch.setattr("sys.executable", str(served_python))


@pytest.fixture
def tiny(tmp_path: Path) -> Workflow:
    """A tiny workflow of which nothing has run yet."""
    return Workflow(tmp_path, TINY)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, served_python: Path) -> Workflow:
    """A tiny workflow that ran from raw frames to the report, once for all tests: leave its files
    as they are. Its first stage and the job of its training are programs of their own."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"), TINY)
    workflow.first_run = workflow.run("results/tiny/raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", str(served_python))
        workflow.first_run += workflow.run()
    return workflow
