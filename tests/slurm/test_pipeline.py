"""Trainings that are killed, pre-empted, cancelled, and forgotten: in the end the tables are those of the undisturbed run."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.slurm.cluster import ACCOUNT, Cluster, run, wait_until
from tests.slurm.pipeline import METHODS, Pipeline, field, history, on_terminal, signal_waits

pytestmark = pytest.mark.slurm
EPOCHS = 10


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
    """Each of four trainings meets with another accident, and Snakemake is killed among them."""
    pipeline = Pipeline(tmp_path / "work", METHODS, EPOCHS, launcher={"partition": "gpu_low"})
    pipeline.copy_data(undisturbed)
    slow, dead, low, cancelled = METHODS
    call = pipeline.start()
    for method in METHODS:
        pipeline.freeze(method)
    jobs = {method: pipeline.job(method) for method in METHODS}

    # scancel is an end: the rule fails, the others go on.
    run("scancel", jobs[cancelled])
    wait_until(lambda: f"job {jobs[cancelled]} ended without a result (SLURM says CANCELLED)" in pipeline.shown, 120, "an end")
    # Snakemake alone is killed. Started again, it waits for the jobs that are there, and submits the cancelled one anew.
    call.kill()
    call.wait()
    pipeline.run("--unlock")
    call = pipeline.start()
    kept = (slow, dead, low)
    waiting = [f"job {jobs[method]} (slurm) is not over: waiting for it" for method in kept]
    wait_until(lambda: all(line in pipeline.shown for line in waiting), 120, "the jobs that are there")

    # A time limit: SLURM tells the training, which saves its state and queues itself again.
    minutes, seconds = map(int, run("squeue", "-h", "-j", jobs[slow], "-O", "TimeUsed").strip().split(":"))
    run("scontrol", "update", f"jobid={jobs[slow]}", f"TimeLimit={minutes + (1 if seconds < 20 else 2)}")
    (pid,) = pipeline.processes(slow)
    # Pre-emption: SLURM tells the training, which saves its state and waits to be killed and queued again.
    important = ["--partition=gpu", f"--nodelist={field(jobs[low], 'NodeList')}", "--gres=gpu:a100:1", f"--account={ACCOUNT}"]
    run("sbatch", *important, "--output=/dev/null", "--wrap=sleep 1")
    # A node dies: nobody is told, the training starts again from what it had saved.
    node = field(jobs[dead], "NodeList")
    cluster.kill_node(node)
    wait_until(lambda: signal_waits(pid, signal.SIGUSR2), 100, "the warning of the time limit")
    pipeline.thaw(slow)
    wait_until(lambda: "down" in run("sinfo", "-h", "-N", "-n", node, "-o", "%T"), 120, "a dead node")
    cluster.start_node(node)
    pipeline.finish(call)

    assert pipeline.tables() == undisturbed.tables()
    for method in kept:
        assert pipeline.jobs(method) == [jobs[method]], "never submitted twice"
        assert pipeline.training(method)["starts"] == 2, method
    assert "NODE_FAIL" in history(jobs[dead])
    assert "PREEMPTED" in history(jobs[low])
    assert "REQUEUED" in history(jobs[slow])
    assert "CANCELLED" in history(jobs[cancelled])
    assert pipeline.jobs(cancelled) == sorted([jobs[cancelled], pipeline.job(cancelled)], key=int)
    assert pipeline.job(cancelled) != jobs[cancelled]
    assert pipeline.training(cancelled)["starts"] == 2  # the second job went on from the state of the first


def test_a_failing_job_and_ctrl_c_while_another_workflow_runs(undisturbed: Pipeline, tmp_path: Path) -> None:
    method = "vatrack"
    pipeline = Pipeline(tmp_path / "work", (method,), EPOCHS, training={"batch_size": 3, "accumulate": 2})
    pipeline.copy_data(undisturbed)
    # Beside it, two processes train one network.
    together = Pipeline(tmp_path / "together", ("qdtrack",), 2, launcher={"processes": 2})
    together.copy_data(undisturbed)
    beside = together.start("results/tiny/runs/qdtrack__resnet18/training.json")
    pipeline.run(status=1)
    assert "vatrack: error: config: the 3 pairs of a process cannot be cut into training.accumulate = 2" in pipeline.shown
    assert "Traceback" not in pipeline.shown

    # Mended, and interrupted by a person who wants the training to go on.
    pipeline.config["training"] |= {"batch_size": 4, "accumulate": 1}

    def interrupt() -> bytes:
        pipeline.freeze(method)
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
