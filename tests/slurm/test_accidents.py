"""A training that is killed, pre-empted, cancelled, and forgotten: in the end it has learned what
the undisturbed one has, bit for bit.

The accidents happen side by side, each to a workflow of its own: mostly they wait for SLURM, which
looks at time limits every 30 seconds. `pytest tests/slurm -k preemption` lets one of them happen.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.slurm.cluster import ACCOUNT, Cluster, run, wait_until
from tests.slurm.pipeline import (
    EPOCHS,
    PATIENCE,
    TABLES,
    TRAINED,
    Pipeline,
    field,
    history,
    on_terminal,
)

pytestmark = pytest.mark.slurm
AT_ONCE = 3  # a training takes 0.7 GB of memory and a GPU node

Accident = Callable[[Pipeline, Cluster], None]
RESUMED = re.compile(r"resuming from epoch [2-4]")
STOPPED = "stopped by {}; the state is saved"
WAITING = "job {} (slurm) is still running: waiting for it"


def time_limit(pipeline: Pipeline, cluster: Cluster) -> None:
    """SLURM tells the training, which saves its state and queues itself again."""
    call = pipeline.start()
    job = pipeline.freeze()
    minutes = int(run("squeue", "-h", "-j", job, "-O", "TimeUsed").split(":")[0])

    def limited(minutes: int) -> bool:
        update = ["scontrol", "update", f"jobid={job}", f"TimeLimit={minutes}"]
        return subprocess.run(update, check=False).returncode == 0

    assert limited(minutes + 2)
    wait_until(lambda: "REQUEUED" in history(job), PATIENCE, f"a new start\n{pipeline.shown}")
    wait_until(lambda: limited(20), PATIENCE, "a higher limit")  # or it would be told again
    pipeline.finish(call)
    assert STOPPED.format("SIGUSR2") in pipeline.log(job)
    _resumed(pipeline, job, {job: "REQUEUED COMPLETED"})


def preemption(pipeline: Pipeline, cluster: Cluster) -> None:
    """SLURM tells the training, which saves its state and waits to be killed and queued again."""
    call = pipeline.start()
    job = pipeline.freeze()
    node = f"--nodelist={field(job, 'NodeList')}"
    important = ["--partition=gpu", node, "--gres=gpu:a100:1", f"--account={ACCOUNT}"]
    run("sbatch", *important, "--output=/dev/null", "--wrap=true")
    pipeline.finish(call)
    assert STOPPED.format("SIGTERM") in pipeline.log(job)
    _resumed(pipeline, job, {job: "PREEMPTED COMPLETED"})


def dead_node(pipeline: Pipeline, cluster: Cluster) -> None:
    """Nobody is told, and the training starts again from what it had saved."""
    pipeline.target = TABLES
    call = pipeline.start()
    job = pipeline.freeze()
    # It stays dead: what SLURM still sends to end the job there would end the new start, which
    # tests do not let wait for two minutes.
    cluster.kill_node(field(job, "NodeList"))
    pipeline.finish(call)
    assert "stopped by" not in pipeline.log(job)
    _resumed(pipeline, job, {job: "NODE_FAIL COMPLETED"})


def scancel(pipeline: Pipeline, cluster: Cluster) -> None:
    """It is an end. Another call submits another job, which goes on from the state."""
    call = pipeline.start()
    job = pipeline.freeze()
    run("scancel", job)
    pipeline.finish(call, status=1)
    assert f"job {job} ended without a result (SLURM state CANCELLED)" in pipeline.shown
    pipeline.run()
    second = pipeline.job()
    _resumed(pipeline, second, {job: "CANCELLED by 0", second: "COMPLETED"})


def ctrl_c(pipeline: Pipeline, cluster: Cluster) -> None:
    """A person presses it and wants the training to go on; another call waits for the job."""

    def interrupt() -> bytes:
        pipeline.freeze()
        return b"\x03"

    status, shown = on_terminal(
        pipeline, {r"job \d+: running": interrupt, r"\[y/N\]": lambda: b"n\n"}
    )
    job = pipeline.job()
    assert status != 0
    assert shown.count("[y/N]") == 1
    # The terminal may lose it where Snakemake itself ends first; the log never does.
    log = pipeline.results / "logs" / "train" / f"{pipeline.training_folder.name}.log"
    shown += log.read_text()
    assert f"job {job} keeps running; run the same command again to wait for it" in shown
    call = pipeline.start()
    pipeline.wait_until_shown(WAITING.format(job))
    pipeline.thaw()
    pipeline.finish(call)
    _ran_once(pipeline, job)


def killed_snakemake(pipeline: Pipeline, cluster: Cluster) -> None:
    """Another call waits for the job that is there."""
    call = pipeline.start()
    job = pipeline.freeze()
    call.kill()
    call.wait()
    pipeline.run("--unlock")
    call = pipeline.start()
    pipeline.wait_until_shown(WAITING.format(job))
    pipeline.thaw()
    pipeline.finish(call)
    _ran_once(pipeline, job)


def _resumed(pipeline: Pipeline, job: str, states: dict[str, str]) -> None:
    """The training went on from its saved state in `job`, its second start; what became of jobs."""
    assert RESUMED.search(pipeline.log(job))
    assert pipeline.jobs() == states
    assert pipeline.training()["starts"] == 2


def _ran_once(pipeline: Pipeline, job: str) -> None:
    assert pipeline.jobs() == {job: "COMPLETED"}
    assert pipeline.training()["starts"] == 1


def failed_job(pipeline: Pipeline, cluster: Cluster) -> None:
    """One message; the next call submits another job."""
    pipeline.config["training"]["accumulate"] = 2
    pipeline.run(status=1)
    assert (
        "config.yaml: training.accumulate: the 1 pair of a process cannot be divided into 2 equal "
        "micro-batches" in pipeline.shown
    )
    assert "Traceback" not in pipeline.shown
    failed = pipeline.job()
    pipeline.config["training"]["accumulate"] = 1
    pipeline.run()
    assert pipeline.jobs() == {failed: "COMPLETED", pipeline.job(): "COMPLETED"}
    assert pipeline.training()["starts"] == 1


# Those that wait longest first.
ACCIDENTS: tuple[Accident, ...] = (
    dead_node,
    time_limit,
    preemption,
    scancel,
    ctrl_c,
    killed_snakemake,
    failed_job,
)


@pytest.fixture(scope="package")  # as `undisturbed`: of a wider scope, that would come first
def outcomes(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    staged: Pipeline,
    two_started: object,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[Accident, Future[Pipeline]]]:
    """The accidents of the tests that were chosen, as they end; the undisturbed workflows run
    beside them."""

    def happen(accident: Accident) -> Pipeline:
        folder = tmp_path_factory.mktemp(accident.__name__) / "work"
        pipeline = Pipeline(folder, EPOCHS, TRAINED)
        pipeline.copy_data(staged)
        accident(pipeline, cluster)
        return pipeline

    chosen = {
        item.callspec.params["accident"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_accident.__name__
    }
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {accident: pool.submit(happen, accident) for accident in ACCIDENTS if accident in chosen}
    # After a Ctrl-C the rest ends with the cluster.
    pool.shutdown(wait=False, cancel_futures=True)


@pytest.mark.parametrize("accident", ACCIDENTS, ids=lambda accident: accident.__name__)
def test_accident(
    accident: Accident, outcomes: dict[Accident, Future[Pipeline]], undisturbed: Pipeline
) -> None:
    pipeline = outcomes[accident].result()
    assert pipeline.learned() == undisturbed.learned()
    if pipeline.target == TABLES:
        assert pipeline.tables() == undisturbed.tables()
