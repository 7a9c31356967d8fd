"""A training that is killed, pre-empted, cancelled, and forgotten: in the end the tables are those
of the undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slurm.cluster import ACCOUNT, Cluster, run
from tests.slurm.pipeline import METHOD, Pipeline, field, history, on_terminal

pytestmark = pytest.mark.slurm
EPOCHS = 6


@pytest.fixture(scope="package")
def two_at_once(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Pipeline, Pipeline]:
    """Two workflows on one cluster at the same time, from the converted data to the tables."""
    first, second = (
        Pipeline(tmp_path_factory.mktemp(name) / "work", EPOCHS) for name in ("first", "second")
    )
    first.make_data()
    second.copy_data(first)
    calls = first.start(), second.start()
    first.finish(calls[0])
    second.finish(calls[1])
    return first, second


@pytest.fixture(scope="package")
def undisturbed(two_at_once: tuple[Pipeline, Pipeline]) -> Pipeline:
    """A run that nothing happened to."""
    return two_at_once[0]


def test_two_workflows_at_once(two_at_once: tuple[Pipeline, Pipeline]) -> None:
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
    assert undisturbed.jobs() == [job]
    assert history(job).split() == ["COMPLETED"]
    # Where the job ran says the profile, with how much the config.
    assert (field(job, "Partition"), field(job, "Account"), field(job, "JobName")) == (
        "gpu",
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


def test_everything_that_can_happen(
    cluster: Cluster, undisturbed: Pipeline, tmp_path: Path
) -> None:
    """One accident after the other. Between them the training is frozen, so that no machine is too
    quick or too slow; what
    SLURM sends it brings it to life again."""
    pipeline = Pipeline(
        tmp_path / "work", EPOCHS, launcher={"partition": "gpu_low"}, training={"accumulate": 2}
    )
    pipeline.copy_data(undisturbed)
    # Beside it two processes train one network.
    together = Pipeline(
        tmp_path / "together", 2, launcher={"processes": 2}, training={"batch_size": 4}
    )
    together.copy_data(undisturbed)
    beside = together.start(f"results/tiny/runs/{METHOD}__resnet18/training.json")

    # A job that fails: one message.
    pipeline.run(status=1)
    assert (
        "config.yaml: training.accumulate: the 1 pair of a process cannot be divided into 2 equal "
        "micro-batches" in pipeline.shown
    )
    assert "Traceback" not in pipeline.shown
    failed = pipeline.job()
    pipeline.config["training"]["accumulate"] = 1

    # A person presses Ctrl-C and wants the training to go on.
    saved = 0

    def interrupt() -> bytes:
        nonlocal saved
        saved = pipeline.freeze(2)
        return b"\x03"

    status, shown = on_terminal(
        pipeline, {r"job \d+: running": interrupt, r"\[y/N\]": lambda: b"n\n"}
    )
    job = pipeline.job()
    assert status != 0
    assert shown.count("[y/N]") == 1
    # The terminal may lose it where Snakemake itself ends first; the log never does.
    log = pipeline.folder / "results" / "tiny" / "logs" / "train" / f"{METHOD}__resnet18.log"
    shown += log.read_text()
    assert f"job {job} keeps running; run the same command again to wait for it" in shown

    # Started again, Snakemake waits for the job that is there; also after it was killed.
    waiting = f"job {job} (slurm) is still running: waiting for it"
    call = pipeline.start()
    pipeline.wait_until_shown(waiting)
    call.kill()
    call.wait()
    pipeline.run("--unlock")
    call = pipeline.start()
    pipeline.wait_until_shown(waiting, times=2)

    # Pre-emption: SLURM tells the training, which saves its state and waits to be killed and queued
    # again.
    important = [
        "--partition=gpu",
        f"--nodelist={field(job, 'NodeList')}",
        "--gres=gpu:a100:1",
        f"--account={ACCOUNT}",
    ]
    run("sbatch", *important, "--output=/dev/null", "--wrap=true")
    saved = pipeline.freeze(saved + 2)

    # A time limit: SLURM tells the training, which saves its state and queues itself again.
    minutes, seconds = map(int, run("squeue", "-h", "-j", job, "-O", "TimeUsed").strip().split(":"))
    run("scontrol", "update", f"jobid={job}", f"TimeLimit={minutes + (1 if seconds < 20 else 2)}")
    saved = pipeline.freeze(saved + 2)

    # scancel is an end. Another call submits another job, which goes on from the state.
    run("scancel", job)
    pipeline.finish(call, status=1)
    assert f"job {job} ended without a result (SLURM state CANCELLED)" in pipeline.shown
    call = pipeline.start()
    saved = pipeline.freeze(saved + 2)
    second = pipeline.job()

    # A node dies: nobody is told, and the training starts again from what it had saved. (The node
    # stays dead meanwhile: what SLURM still sends to end the job there would end the new start,
    # which tests do not let wait for two minutes.)
    node = field(second, "NodeList")
    cluster.kill_node(node)
    pipeline.finish(call)
    cluster.start_node(node)

    assert pipeline.tables() == undisturbed.tables()
    assert pipeline.jobs() == sorted([failed, job, second]), "never submitted twice"
    assert history(job).split() == ["PREEMPTED", "REQUEUED", "CANCELLED", "by", "0"]
    assert history(second).split() == ["NODE_FAIL", "COMPLETED"]
    assert pipeline.training()["starts"] == 5
    together.finish(beside)
    assert together.training()["processes"] == 2
