"""Jobs are real processes here: submitit's local executor starts them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import submitit

from tests.training import jobs
from vatrack.config import Backbone, Config, LauncherConfig, Method, parse_config
from vatrack.errors import InputError
from vatrack.training.launch import JobFailed, _Log, executor_parameters, launch, run_in_job

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _jobs_can_import_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


def run(function: Callable[..., str], arguments: tuple[object, ...], folder: Path, **launcher: object) -> tuple[str, str]:
    shown = io.StringIO()
    settings = parse_config({"launcher": launcher}, "test", Config).launcher
    return run_in_job(function, arguments, settings, folder, stream=shown), shown.getvalue()


def test_shows_output_and_returns_the_summary(tmp_path: Path) -> None:
    summary, shown = run(jobs.report, ("work",), tmp_path)
    assert summary == "did work"
    assert "out: work in process" in shown
    assert f"in process {os.getpid()}\n" not in shown
    assert "err: work, no end of line\n" in shown
    assert "submitit INFO" not in shown


def test_debug_cluster_runs_in_this_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary, _ = run(jobs.report, ("work",), tmp_path, cluster="debug")
    assert summary == "did work"
    assert f"out: work in process {os.getpid()}" in capsys.readouterr().out


def test_bad_input_arrives_as_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^train.json: cut off; fetch it again$"):
        run(jobs.bad_input, (), tmp_path)


def test_a_crash_shows_the_log_and_names_its_last_line(tmp_path: Path) -> None:
    shown = io.StringIO()
    with pytest.raises(JobFailed, match=r"failed: ZeroDivisionError: a bug \(log: ") as failure:
        run_in_job(jobs.crash, (), LauncherConfig(), tmp_path, stream=shown)
    assert "about to crash\n" in shown.getvalue()
    assert "Traceback" in shown.getvalue()
    place = str(failure.value).split("(log: ")[1].rstrip(")")
    assert "ZeroDivisionError" in Path(place).read_text()


def test_a_job_that_is_killed_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submitit.local.local.LocalJob._results_timeout_s", 1)  # slow file systems get 15 s
    with pytest.raises(JobFailed, match="has not produced any output"):
        run(jobs.vanish, (), tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_job(tmp_path: Path, number: signal.Signals) -> None:
    place = tmp_path / "pids"
    code = (
        "import sys; from pathlib import Path; from tests.training import jobs; from vatrack.config import LauncherConfig;"
        "from vatrack.training.launch import run_in_job;"
        "run_in_job(jobs.wait_with_child, (Path(sys.argv[1]),), LauncherConfig(), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(place), str(tmp_path / "job")]
    launcher = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    _until(place.exists, 60)
    pids = [int(word) for word in place.read_text().split()]
    launcher.send_signal(number)
    shown, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + number
    assert "cancelled" in shown
    _until(lambda: not _alive(pids[0]), 10)
    if _alive(pids[1]):  # a plain child is left to its parent; data loaders end by themselves when it is gone
        os.kill(pids[1], signal.SIGKILL)


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_parameters_for_slurm_and_here() -> None:
    cluster = LauncherConfig(
        cluster="slurm", gpus=1, gpu_type="a100", cpus=8, memory_gb=170, minutes=28800, partition="gpu", account="me"
    )
    parameters = executor_parameters(cluster, "vatrack__resnet50")
    assert parameters["slurm_gres"] == "gpu:a100:1"
    assert "gpus_per_node" not in parameters  # SLURM would add both requests
    assert (parameters["slurm_partition"], parameters["slurm_account"]) == ("gpu", "me")
    assert "slurm_constraint" not in parameters
    assert (parameters["timeout_min"], parameters["mem_gb"], parameters["cpus_per_task"]) == (28800, 170, 8)
    here = executor_parameters(cluster.model_copy(update={"cluster": "local"}), "x")
    assert here["gpus_per_node"] == 1
    assert "slurm_gres" not in here


def test_parameters_become_a_job_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SLURM would be asked for, from submitit itself, which only wants to see that `srun` exists."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}:{os.environ['PATH']}")
    cluster = LauncherConfig(cluster="slurm", gpus=1, gpu_type="a100", cpus=8, memory_gb=170, minutes=28800, constraint="40g")
    executor = submitit.AutoExecutor(folder=tmp_path / "job", cluster="slurm")
    executor.update_parameters(**executor_parameters(cluster, "vatrack__resnet50"))
    script = executor._executor._make_submission_file_text("true", "id")
    wanted = ["gres=gpu:a100:1", "mem=170GB", "time=28800", "cpus-per-task=8", "job-name=vatrack__resnet50", "constraint=40g"]
    for option in wanted:
        assert f"#SBATCH --{option}\n" in script
    assert "partition" not in script


def test_a_gpu_that_was_not_asked_for_is_bad_input(tmp_path: Path) -> None:
    config = parse_config({"training": {"device": "cuda"}}, "test", Config)
    with pytest.raises(InputError, match=r"launcher\.gpus is 0"):
        launch(config.for_run(Method.VATRACK, Backbone.RESNET18), tmp_path, tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_log_is_copied_line_by_line(tmp_path: Path) -> None:
    path, shown = tmp_path / "log", io.StringIO()
    log = _Log(path)
    log.copy(shown, last=False)
    assert shown.getvalue() == ""
    text = "first\nsecond ü".encode()
    path.write_bytes(text[:-1])  # ends inside a character
    log.copy(shown, last=False)
    assert shown.getvalue() == "first\n"
    path.write_bytes(text + b"\nsubmitit INFO (date) - chatter\nthird")
    log.copy(shown, last=False)
    log.copy(shown, last=True)
    assert shown.getvalue() == "first\nsecond ü\nthird\n"
