"""Jobs are real processes here: submitit's local executor starts them."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import tempfile
from pathlib import Path

import pytest
import torch

from tests.jobs import jobs
from tests.jobs.launched import Launcher, run
from tests.waiting import alive, wait_until
from vatrack.common.errors import ConfigError, InputError
from vatrack.common.gpus import claimed
from vatrack.config import LauncherConfig
from vatrack.jobs import wait
from vatrack.jobs.launch import JobFailed, run_in_job


def test_shows_output_and_returns_the_summary(tmp_path: Path) -> None:
    summary, shown = run(jobs.report, ("work",), tmp_path)
    assert summary == "did work"
    assert "out: work in process" in shown
    assert f"in process {os.getpid()}\n" not in shown
    assert "err: work, no end of line\n" in shown
    assert "submitit INFO" not in shown


def test_debug_cluster_runs_in_this_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary, _ = run(jobs.report, ("work",), tmp_path, cluster="debug")
    assert summary == "did work"
    assert f"out: work in process {os.getpid()}" in capsys.readouterr().out


def test_bad_input_arrives_as_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^train.json: cut off; fetch it again$"):
        run(jobs.bad_input, (), tmp_path)
    with pytest.raises(ConfigError) as caught:  # so that the config's file can be named
        run(jobs.bad_setting, (), tmp_path / "setting")
    assert caught.value.key == "training.epochs"


@pytest.mark.parametrize("cluster", ["local", "debug"])
@pytest.mark.parametrize("kind", ["fill_the_disk", "lose_a_frame"])
def test_an_error_of_the_system_has_its_traceback_in_the_log_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, cluster: str
) -> None:
    shown, path = io.StringIO(), tmp_path / "a.pt"
    launcher = LauncherConfig(cluster=cluster)
    with pytest.raises((OSError, InputError), match=r"a\.pt") as caught:
        run_in_job(getattr(jobs, kind), (path,), launcher, tmp_path / "job", stream=shown)
    if kind == "fill_the_disk":
        assert isinstance(caught.value, OSError)
        assert caught.value.errno == errno.ENOSPC, "the command line knows the fix"
        assert caught.value.filename == str(path)
    assert "Traceback" not in shown.getvalue() + capfd.readouterr().err
    logs = [log.read_text() for log in tmp_path.glob("job/*_log.err")]
    assert [f"in {kind}" in log for log in logs] == [True] * (cluster == "local")


def test_a_job_that_found_its_input_bad_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vatrack.jobs.launch.FAILED_SECONDS", 1.0)
    bad, pid = tmp_path / "bad", tmp_path / "pid"
    bad.touch()
    with pytest.raises(InputError, match="cut off"):
        run(jobs.fail_and_stay, (bad, pid), tmp_path / "job")
    assert not alive(int(pid.read_text())), "it does not stay"
    # A launcher that is killed cannot end it, but the next one does.
    pid.unlink()
    launcher = Launcher(tmp_path / "job", "fail_and_stay", bad, pid)
    wait_until(pid.exists, 60)
    launcher.kill()
    number = int(json.loads((tmp_path / "job" / "job.json").read_text())["id"])
    wait_until(lambda: bool(list((tmp_path / "job").glob(f"{number}_*_result.pkl"))), 60)
    bad.unlink()
    summary, shown = run(jobs.fail_and_stay, (bad, pid), tmp_path / "job")
    assert summary == "went"
    assert f"job {number} (local) has failed but is still running; stopping it\n" in shown
    assert not alive(number)


def test_a_crash_shows_the_log_and_names_its_last_line(tmp_path: Path) -> None:
    shown = io.StringIO()
    with pytest.raises(JobFailed, match=r"failed: ZeroDivisionError: a bug \(log: ") as failure:
        run_in_job(jobs.crash, (), LauncherConfig(), tmp_path, stream=shown)
    assert "about to crash\n" in shown.getvalue()
    assert "Traceback" in shown.getvalue()
    log = str(failure.value).split("(log: ")[1].rstrip(")")
    assert "ZeroDivisionError" in Path(log).read_text()


def test_a_job_that_is_killed_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(
        JobFailed,
        match=r"ended without a result \(its process no longer exists\): it left no error message",
    ):
        run(jobs.vanish, (), tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_job(tmp_path: Path, number: signal.Signals) -> None:
    pid_file = tmp_path / "pids"
    launcher = Launcher(tmp_path / "job", "wait_with_child", pid_file)
    wait_until(pid_file.exists, 60)
    pids = [int(word) for word in pid_file.read_text().split()]
    status, shown = launcher.end(number)
    assert status == 128 + number
    assert "cancelled; run the same command again" in shown
    wait_until(lambda: not alive(pids[0]), 10)
    if alive(
        pids[1]
    ):  # a plain child is left to its parent; data loaders end by themselves when it is gone
        os.kill(pids[1], signal.SIGKILL)


def test_ctrl_c_on_the_terminal_lets_the_job_save_its_state(tmp_path: Path) -> None:
    """It reaches the whole process group, the job's processes too."""
    begun = tmp_path / "begun"
    launcher = Launcher(tmp_path / "job", "save_when_told", begun)
    wait_until(begun.exists, 60)
    os.killpg(launcher.process.pid, signal.SIGINT)
    assert launcher.end()[0] == 130
    assert begun.with_suffix(".saved").exists()


def test_files_in_the_working_folder_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise RuntimeError('the wrong queue')")
    (tmp_path / "submitit.py").write_text("raise RuntimeError('the wrong submitit')")
    monkeypatch.chdir(tmp_path)
    summary, _ = run(jobs.import_queue, (), tmp_path / "job")
    assert str(tmp_path) not in summary
    assert summary.endswith("queue.py torch")
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_job_here_sees_only_gpus_of_the_users_that_nobody_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    with claimed(1):
        summary, _ = run(jobs.describe_gpus, (), tmp_path / "one", gpus=1)
        assert summary == "sees 5, holds 5.lock", "it holds its GPU even without its launcher"
        summary, _ = run(jobs.describe_gpus, (), tmp_path / "two", gpus=2)
        assert summary == "sees 5,7, holds 5.lock 7.lock"
    summary, _ = run(jobs.describe_gpus, (), tmp_path / "after", gpus=1)
    assert summary == "sees 3, holds 3.lock"


def test_gpus_that_the_user_hides_stay_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    summary, _ = run(jobs.describe_gpus, (), tmp_path, gpus=1)
    assert summary == "sees , holds "


def test_several_processes_know_their_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "7")  # of a job that this one is started from
    summary, shown = run(jobs.describe_rank, (), tmp_path, processes=2)
    rank, world, local, local_world, address, port = summary.split()
    assert (rank, world, local, local_world, address) == ("0", "2", "0", "2", "127.0.0.1")
    assert f"rank {summary}\n" in shown
    other = next(
        path for path in tmp_path.iterdir() if path.name.endswith("_1_log.out")
    ).read_text()
    assert f"rank 1 2 1 2 127.0.0.1 {port}\n" in other


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("bad input", InputError, r"^valid\.json: cut off"),
        (
            "crash",
            JobFailed,
            r"failed: ZeroDivisionError: a bug in the second \(log: .*_1_log\.err\)",
        ),
    ],
)
def test_the_process_that_fails_ends_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, error: type[Exception], message: str
) -> None:
    monkeypatch.setattr(wait, "PEER_SECONDS", 0.5)
    with pytest.raises(error, match=message):
        run(jobs.second_fails, (kind,), tmp_path, processes=2)
