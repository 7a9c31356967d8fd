"""Predictions and evaluations in shards, run by the workflow: what comes out is the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError

from tests.workflow.snake import Workflow

pytestmark = pytest.mark.usefixtures("served")

RUN = "runs/vatrack__resnet18"
SAME = ("predictions.jsonl.gz", "metrics.json", "details.json", "evaluation.yaml")
METRICS = f"results/tiny/{RUN}/metrics.json"


@pytest.mark.slow
def test_shards_leave_the_bytes_of_one_job(finished: Workflow, tmp_path: Path) -> None:
    """Of the only clips there are, so that some shards have none."""
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    shards = Workflow(tmp_path, finished.config).changed(
        launcher={"prediction_shards": 2, "evaluation_shards": 2}
    )
    run = shards.results / RUN
    before = {name: (run / name).read_bytes() for name in SAME}
    for name in SAME[:3]:
        (run / name).unlink()
    predictions = run / SAME[0]
    assert shards.run(f"results/tiny/{RUN}/{SAME[0]}") == {"predict_shard": 2, "predict": 1}
    sound = predictions.read_bytes()
    assert sound == before[SAME[0]]

    # One that fails leaves its log, and the shards that are complete.
    predictions.write_bytes(sound[:-20])
    with pytest.raises(WorkflowError):
        shards.run(METRICS)
    logs = shards.results / "logs/evaluate"
    said = [path.read_text() for path in sorted(logs.glob("*.[12].log"))]
    assert said and all(f"vatrack: error: {predictions.relative_to(tmp_path)}" in s for s in said)
    assert not (run / "metrics.json").exists()
    predictions.write_bytes(sound)

    assert shards.run(METRICS) == {"evaluate_shard": 2, "evaluate": 1}
    assert {name: (run / name).read_bytes() for name in SAME} == before
    left = [path.name for path in run.rglob("*") if "shard" in str(path.relative_to(run))]
    assert left == [], "shards are removed when they are merged"
    for number in (1, 2):
        assert "shard" in (logs / f"vatrack__resnet18.{number}.log").read_text()
        assert (shards.results / f"benchmarks/evaluate/vatrack__resnet18.{number}.tsv").exists()
