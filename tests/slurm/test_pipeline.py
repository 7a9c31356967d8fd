"""What nothing happens to: one workflow, two at once, and two processes that train one network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slurm.cluster import ACCOUNT
from tests.slurm.pipeline import EPOCHS, METHOD, TRAINED, Pipeline, field

pytestmark = pytest.mark.slurm


def test_two_workflows_at_once(two_at_once: list[Pipeline]) -> None:
    first, second = two_at_once
    assert first.tables() == second.tables()
    assert first.job() != second.job()
    assert [field(pipeline.job(), "State") for pipeline in two_at_once] == ["COMPLETED"] * 2


def test_success(undisturbed: Pipeline) -> None:
    assert {"image_amodal.csv", "video_visible.csv", "track_amodal.csv", "tables.html"} <= set(
        undisturbed.tables()
    )
    assert undisturbed.training()["starts"] == 1
    job = undisturbed.job()
    assert undisturbed.jobs() == {job: "COMPLETED"}
    # Where the job ran says the profile, with how much the config.
    assert (field(job, "Partition"), field(job, "Account"), field(job, "JobName")) == (
        "gpu_low",
        ACCOUNT,
        f"{METHOD}__resnet18",
    )
    assert "gres/gpu:a100=1" in field(job, "AllocTRES")
    assert (
        f"job {job} (slurm); logs in results/tiny/runs/{METHOD}__resnet18/submitit"
        in undisturbed.shown
    )
    assert (
        f"epoch {EPOCHS}/{EPOCHS}"
        in (undisturbed.results / f"logs/train/{METHOD}__resnet18.log").read_text()
    )


def test_two_processes_train_one_network(staged: Pipeline, tmp_path: Path) -> None:
    launcher = {"processes": 2, "partition": "gpu"}  # which overrides the profile's
    together = Pipeline(
        tmp_path / "work", 2, TRAINED, launcher=launcher, training={"batch_size": 4}
    )
    together.copy_data(staged)
    together.run()
    assert together.training()["processes"] == 2
    assert field(together.job(), "Partition") == "gpu"
