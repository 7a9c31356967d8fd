"""Trainings that are killed, pre-empted, cancelled, and forgotten: in the end the tables are those of the undisturbed run."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.slurm.cluster import ACCOUNT, Cluster, run, wait_until
from tests.slurm.pipeline import METHODS, Pipeline, field, history, on_terminal, signal_waits

pytestmark = pytest.mark.slurm
EPOCHS = 4


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A run from nothing to the tables."""
    pipeline = Pipeline(tmp_path_factory.mktemp("undisturbed") / "work", METHODS, EPOCHS)
    pipeline.run()
    return pipeline


def test_success(undisturbed: Pipeline) -> None:
    assert all(undisturbed.rows(method) for method in METHODS)
    for method in METHODS:
        (job,) = undisturbed.jobs(method)
        assert undisturbed.training(method)["starts"] == 1
        assert history(job).split() == ["COMPLETED"]
        # What the profile says about rules, and the config about trainings.
        assert (field(job, "Partition"), field(job, "Account"), field(job, "JobName")) == (
            "gpu",
            ACCOUNT,
            f"{method}__resnet18",
        )
        assert "gres/gpu:a100=1" in field(job, "AllocTRES")
        assert f"job {job} (slurm); logs in results/tiny/runs/{method}__resnet18/submitit" in undisturbed.shown
        log = (undisturbed.results / f"logs/train/{method}__resnet18.log").read_text()
        assert f"epoch {EPOCHS}/{EPOCHS}" in log


def test_everything_that_can_happen_to_a_training(cluster: Cluster, undisturbed: Pipeline, tmp_path: Path) -> None:
    """Two trainings meet with two accidents each, and Snakemake is killed among them."""
    pipeline = Pipeline(tmp_path / "work", METHODS, EPOCHS, launcher={"partition": "gpu_low"})
    pipeline.copy_data(undisturbed)
    told, untold = METHODS
    call = pipeline.start()
    for method in METHODS:
        pipeline.freeze(method, saves=2)
    job, cancelled = pipeline.job(told), pipeline.job(untold)

    # scancel is an end: the rule fails, the other one goes on.
    run("scancel", cancelled)
    wait_until(lambda: f"job {cancelled} ended without a result (SLURM says CANCELLED)" in pipeline.shown, 120, "an end")
    # Snakemake alone is killed. Started again, it waits for the job that is there, and submits the cancelled one anew.
    call.kill()
    call.wait()
    pipeline.run("--unlock")
    call = pipeline.start()
    wait_until(lambda: f"job {job} (slurm) is not over: waiting for it" in pipeline.shown, 120, "the job that is there")

    # Pre-emption: SLURM tells the training, which saves its state and waits to be killed and queued again.
    important = ["--partition=gpu", f"--nodelist={field(job, 'NodeList')}", "--gres=gpu:a100:1", f"--account={ACCOUNT}"]
    run("sbatch", *important, "--output=/dev/null", "--wrap=sleep 1")
    # A node dies: nobody is told, the training starts again from what it had saved.
    pipeline.freeze(untold, saves=5)
    second = pipeline.job(untold)
    node = field(second, "NodeList")
    cluster.kill_node(node)
    # A time limit: SLURM tells the training, which saves its state and queues itself again.
    pipeline.freeze(told, saves=5)
    minutes, seconds = map(int, run("squeue", "-h", "-j", job, "-O", "TimeUsed").strip().split(":"))
    run("scontrol", "update", f"jobid={job}", f"TimeLimit={minutes + (1 if seconds < 20 else 2)}")
    (pid,) = pipeline.processes(told)
    wait_until(lambda: signal_waits(pid, signal.SIGUSR2), 120, "the warning of the time limit")
    pipeline.thaw(told)
    wait_until(lambda: "NODE_FAIL" in history(second), 120, "a dead node")
    cluster.start_node(node)
    pipeline.finish(call)

    assert pipeline.tables() == undisturbed.tables()
    assert pipeline.jobs(told) == [job], "never submitted twice"
    assert pipeline.jobs(untold) == sorted([cancelled, second])
    assert history(cancelled).split() == ["CANCELLED", "by", "0"]
    assert {"PREEMPTED", "REQUEUED", "COMPLETED"} == set(history(job).split())
    assert {"NODE_FAIL", "COMPLETED"} == set(history(second).split())
    # Each start went on from the state of the one before.
    assert [pipeline.training(method)["starts"] for method in METHODS] == [3, 3]


def test_a_failing_job_and_ctrl_c_while_another_workflow_runs(undisturbed: Pipeline, tmp_path: Path) -> None:
    method = "vatrack"
    pipeline = Pipeline(tmp_path / "work", (method,), EPOCHS, training={"accumulate": 2})
    pipeline.copy_data(undisturbed)
    # Beside it, two processes train one network.
    together = Pipeline(tmp_path / "together", ("qdtrack",), 2, launcher={"processes": 2}, training={"batch_size": 4})
    together.copy_data(undisturbed)
    beside = together.start("results/tiny/runs/qdtrack__resnet18/training.json")
    pipeline.run(status=1)
    assert "vatrack: error: config: the 1 pairs of a process cannot be cut into training.accumulate = 2" in pipeline.shown
    assert "Traceback" not in pipeline.shown

    # Mended, and interrupted by a person who wants the training to go on.
    pipeline.config["training"]["accumulate"] = 1

    def interrupt() -> bytes:
        pipeline.freeze(method, saves=2)
        return b"\x03"

    status, shown = on_terminal(pipeline, {r"job \d+: running": interrupt, r"\[y/N\]": lambda: b"n\n"})
    assert status != 0
    job = pipeline.job(method)
    assert f"job {job} goes on; run the same command again to wait for it" in shown
    assert shown.count("[y/N]") == 1
    call = pipeline.start()
    wait_until(lambda: f"job {job} (slurm) is not over: waiting for it" in pipeline.shown, 120, "the job that is there")
    pipeline.thaw(method)
    pipeline.finish(call)
    assert pipeline.job(method) == job
    assert pipeline.rows(method) == undisturbed.rows(method)

    together.finish(beside)
    assert together.training("qdtrack")["processes"] == 2
