"""What is asked of SLURM and of this machine."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import submitit

from tests.jobs import jobs
from tests.jobs.launched import run
from vatrack.common.errors import InputError
from vatrack.config import LauncherConfig
from vatrack.jobs.call import JobCall, JobResult
from vatrack.jobs.submit import executor_parameters

ON_SLURM: dict[str, Any] = {
    "cluster": "slurm",
    "gpu_type": "a100",
    "cpus": 8,
    "memory_gb": 170,
    "minutes": 28800,
}


@pytest.mark.parametrize("kind", [JobCall, JobResult])
def test_jobs_of_an_older_version_can_be_read(kind: type) -> None:
    """Those that run or wait while the program is updated."""
    assert pickle.loads(f"cvatrack.jobs.submit\n{kind.__name__}\n.".encode()) is kind


def test_parameters_for_slurm_and_here() -> None:
    cluster = LauncherConfig(gpus=1, partition="gpu", account="me", **ON_SLURM)
    parameters = executor_parameters(cluster, "vatrack__resnet50")
    assert parameters["slurm_gres"] == "gpu:a100:1"
    assert "gpus_per_node" not in parameters  # SLURM would add both requests
    assert (parameters["slurm_partition"], parameters["slurm_account"]) == ("gpu", "me")
    assert "slurm_constraint" not in parameters
    assert (parameters["timeout_min"], parameters["mem_gb"], parameters["cpus_per_task"]) == (
        28800,
        170,
        8,
    )
    assert (parameters["nodes"], parameters["tasks_per_node"]) == (1, 1)
    here = executor_parameters(cluster.model_copy(update={"cluster": "local"}), "x")
    assert here["gpus_per_node"] == 1
    assert "slurm_gres" not in here


def test_parameters_become_a_job_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SLURM would be asked for, from submitit itself, which only wants to see that `srun`
    exists."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}:{os.environ['PATH']}")
    cluster = LauncherConfig(
        nodes=2,
        gpus=4,
        constraint="40g",
        qos="long",
        extra={"exclude": "node7", "mail-type": "FAIL", "comment": "mine"},
        setup=("module load cuda",),
        save_seconds=300,
        **ON_SLURM,
    )
    executor = submitit.AutoExecutor(folder=tmp_path / "job", cluster="slurm")
    executor.update_parameters(**executor_parameters(cluster, "vatrack__resnet50", "token"))
    script = executor._executor._make_submission_file_text("true", "id")  # type: ignore[attr-defined]
    wanted = [
        "gres=gpu:a100:4",
        "mem=170GB",
        "time=28800",
        "cpus-per-task=8",
        "job-name=vatrack__resnet50",
        "constraint=40g",
    ]
    wanted += [
        "nodes=2",
        "ntasks-per-node=4",
        "qos=long",
        "exclude=node7",
        "mail-type=FAIL",
        "signal=USR2@300",
    ]
    wanted += ["requeue", "comment=token"]
    for option in wanted:
        assert f"#SBATCH --{option}\n" in script
    assert "partition" not in script
    assert "\nmodule load cuda\n" in script
    (srun_line,) = [line for line in script.splitlines() if line.startswith("srun ")]
    assert {"--cpus-per-task=8", "--open-mode=append", "--kill-on-bad-exit=1"} <= set(
        srun_line.split()
    )


def test_an_answer_without_a_number_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a command that a cluster has in place of sbatch."""
    for name, answer in (("sbatch", "sent"), ("srun", ""), ("squeue", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {answer}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    told = r'(?s)Could not make sense of sbatch output "sent.*; check sbatch, then run this again$'
    with pytest.raises(InputError, match=told):
        run(jobs.report, ("work",), tmp_path / "job", **ON_SLURM)


@pytest.mark.parametrize(
    ("launcher", "complaint"),
    [
        ({"nodes": 2}, r"launcher\.nodes: is 2, but cluster local uses one machine"),
        ({"cluster": "debug", "gpus": 2}, r"^config: launcher\.cluster: debug uses one process"),
        (
            {"cluster": "slurm", "minutes": 2},
            r"^config: launcher\.save_seconds: is 120, .* raise launcher\.minutes",
        ),
    ],
)
def test_settings_that_contradict_each_other(
    tmp_path: Path, launcher: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        run(jobs.report, ("work",), tmp_path / "job", **launcher)
    assert not (tmp_path / "job").exists()
