"""Jobs are real processes here: submitit's local executor starts them."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import submitit
import torch

from tests.jobs import jobs
from vatrack.common.errors import ConfigError, InputError
from vatrack.common.gpus import claimed
from vatrack.common.locks import held, locked
from vatrack.config import Config, LauncherConfig, parse_config
from vatrack.jobs import wait
from vatrack.jobs.interrupt import Interrupted
from vatrack.jobs.job_file import JobFile
from vatrack.jobs.launch import JobFailed, run_in_job
from vatrack.jobs.slurm import SlurmJob
from vatrack.jobs.submit import ALIVE, JobCall, JobResult, executor_parameters
from vatrack.jobs.wait import Files, follow_job

REPOSITORY = Path(__file__).parents[2]


POLL_SECONDS = 0.05


@pytest.fixture(autouse=True)
def _jobs_can_import_the_tests_and_are_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(wait, "POLL_SECONDS", POLL_SECONDS)


def run(
    function: Callable[..., str], arguments: tuple[object, ...], folder: Path, **launcher: object
) -> tuple[str, str]:
    shown = io.StringIO()
    settings = parse_config({"launcher": launcher}, "test", Config).launcher
    result = run_in_job(function, arguments, settings, folder, stream=shown)
    return str(result), shown.getvalue()


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


def test_a_job_that_found_its_input_bad_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vatrack.jobs.launch.FAILED_SECONDS", 1.0)
    bad, pid = tmp_path / "bad", tmp_path / "pid"
    bad.touch()
    with pytest.raises(InputError, match="cut off"):
        run(jobs.fail_and_stay, (bad, pid), tmp_path / "job")
    assert not _alive(int(pid.read_text())), "it does not stay"
    # A launcher that is killed cannot end it, but the next one does.
    pid.unlink()
    launcher = Launcher(tmp_path / "job", "fail_and_stay", bad, pid)
    _until(pid.exists, 60)
    launcher.kill()
    number = int(json.loads((tmp_path / "job" / "job.json").read_text())["id"])
    _until(lambda: bool(list((tmp_path / "job").glob(f"{number}_*_result.pkl"))), 60)
    bad.unlink()
    summary, shown = run(jobs.fail_and_stay, (bad, pid), tmp_path / "job")
    assert summary == "went"
    assert f"job {number} (local) has failed but is still running; stopping it\n" in shown
    assert not _alive(number)


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


class Launcher:
    """A launcher in a process of its own, as `vatrack launch` is."""

    def __init__(
        self,
        folder: Path,
        function: str,
        *arguments: object,
        key: str = "",
        product: Path | None = None,
    ) -> None:
        code = (
            "import sys; from pathlib import Path; from tests.jobs import jobs; from "
            "vatrack.config import LauncherConfig;"
            "from vatrack.jobs import wait; from vatrack.jobs.launch import run_in_job;"
            f"wait.POLL_SECONDS = {POLL_SECONDS};"
            f"print(run_in_job(jobs.{function}, {arguments!r}, LauncherConfig(), "
            f"Path({str(folder)!r}), "
            f"key={key!r}, product={product!r}))"
        ).replace("PosixPath", "Path")
        folder.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder.parent, delete=False) as output:
            self._output = Path(output.name)
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=REPOSITORY,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def shown(self) -> str:
        """What it has shown so far."""
        return self._output.read_text()

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Sends a signal, if any, and waits."""
        if number:
            self.process.send_signal(number)
        return self.process.wait(timeout=90), self.shown

    def kill(self) -> None:
        """The launcher alone; its job lives on."""
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_job(tmp_path: Path, number: signal.Signals) -> None:
    pid_file = tmp_path / "pids"
    launcher = Launcher(tmp_path / "job", "wait_with_child", pid_file)
    _until(pid_file.exists, 60)
    pids = [int(word) for word in pid_file.read_text().split()]
    status, shown = launcher.end(number)
    assert status == 128 + number
    assert "cancelled; run the same command again" in shown
    _until(lambda: not _alive(pids[0]), 10)
    if _alive(
        pids[1]
    ):  # a plain child is left to its parent; data loaders end by themselves when it is gone
        os.kill(pids[1], signal.SIGKILL)


def test_ctrl_c_on_the_terminal_lets_the_job_save_its_state(tmp_path: Path) -> None:
    """It reaches the whole process group, the job's processes too."""
    begun = tmp_path / "begun"
    launcher = Launcher(tmp_path / "job", "save_when_told", begun)
    _until(begun.exists, 60)
    os.killpg(launcher.process.pid, signal.SIGINT)
    assert launcher.end()[0] == 130
    assert begun.with_suffix(".saved").exists()


def test_a_job_whose_launcher_was_killed_is_waited_for(tmp_path: Path) -> None:
    go, count = tmp_path / "go", tmp_path / "count"
    first = Launcher(tmp_path / "job", "wait_for", go, count)
    _until(count.exists, 60)
    first.kill()
    second, third = (Launcher(tmp_path / "job", "wait_for", go, count) for _ in range(2))
    _until(
        lambda: all(
            "is still running: waiting for it" in launcher.shown for launcher in (second, third)
        ),
        60,
    )
    go.touch()
    for launcher in (second, third):
        status, shown = launcher.end()
        assert status == 0
        assert "waiting\n" in shown  # the log from its beginning
        assert shown.endswith("went\n")
    assert len(count.read_text().split()) == 1


def test_two_launchers_at_once_start_one_job(tmp_path: Path) -> None:
    go, count = tmp_path / "go", tmp_path / "count"
    launchers = [Launcher(tmp_path / "job", "wait_for", go, count) for _ in range(3)]
    # One that comes when the others are done wants it done again.
    _until(lambda: all("job " in launcher.shown for launcher in launchers), 60)
    go.touch()
    ended = [launcher.end() for launcher in launchers]
    assert [status for status, _ in ended] == [0, 0, 0]
    assert len(count.read_text().split()) == 1
    assert sum("is still running: waiting for it" in shown for _, shown in ended) == 2


def test_a_job_with_other_settings_is_not_waited_for(tmp_path: Path) -> None:
    go, count = tmp_path / "go", tmp_path / "count"
    first = Launcher(tmp_path / "run" / "job", "wait_for", go, count, key="a")
    _until(count.exists, 60)
    first.kill()
    folder = tmp_path / "run" / "job"
    number = json.loads((folder / "job.json").read_text())["id"]

    def again() -> Any:
        return run_in_job(
            jobs.wait_for, (go, count), LauncherConfig(), folder, stream=io.StringIO(), key="b"
        )

    with pytest.raises(
        InputError,
        match=rf"job {number} \(local\) is still running here with other settings.* kill {number}$",
    ):
        again()
    go.touch()
    _until(lambda: not _alive(int(number)), 30)
    # It is over, and its result is of other settings: a new job.
    assert again()
    assert len(count.read_text().split()) == 2


def test_a_result_that_nobody_waited_for_is_taken_once(tmp_path: Path) -> None:
    go, count, product = tmp_path / "go", tmp_path / "count", tmp_path / "product"
    arguments = (go, count, product)
    first = Launcher(tmp_path / "job", "wait_for", *arguments, key="a", product=product)
    _until(count.exists, 60)
    first.kill()
    number = int(json.loads((tmp_path / "job" / "job.json").read_text())["id"])
    go.touch()
    _until(lambda: not _alive(number), 30)
    product.unlink()  # as Snakemake removes what it thinks is not whole
    status, shown = Launcher(
        tmp_path / "job", "wait_for", *arguments, key="a", product=product
    ).end()
    assert (status, shown) == (
        0,
        f"job {number} (local) has completed; using its result\nwent\n",
    )
    assert product.read_text() == "complete\n"
    assert len(count.read_text().split()) == 1
    # Whoever asks again wants it done again.
    assert (
        Launcher(tmp_path / "job", "wait_for", *arguments, key="a", product=product).end()[0] == 0
    )
    assert len(count.read_text().split()) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        b".",
        b"cvatrack.moved\nGone\n.",  # a class of another version: ImportError
        b"cvatrack.jobs.wait\nGone\n.",  # AttributeError
        pickle.dumps(("success",)),
    ],
)
def test_a_result_that_cannot_be_read_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "7_0_result.pkl").write_bytes(content)
    assert Files(tmp_path, "7", 1).results() == [None]


def test_after_a_result_that_cannot_be_read_a_new_job_starts(tmp_path: Path) -> None:
    run(jobs.report, ("work",), tmp_path)
    known = json.loads((tmp_path / "job.json").read_text())
    (tmp_path / "job.json").write_text(json.dumps(known | {"collected": False}))
    (left,) = tmp_path.glob("*_result.pkl")
    left.write_bytes(b"cvatrack.jobs.wait\nGone\n.")
    _until(lambda: not _alive(int(known["id"])), 30)
    assert run(jobs.report, ("again",), tmp_path)[0] == "did again"


def test_a_process_with_the_number_of_the_job_is_not_taken_for_it(tmp_path: Path) -> None:
    go, count = tmp_path / "go", tmp_path / "count"
    go.touch()
    run(jobs.wait_for, (go, count), tmp_path)
    known = json.loads((tmp_path / "job.json").read_text())
    (tmp_path / "job.json").write_text(
        json.dumps(known | {"id": str(os.getpid()), "collected": False})
    )
    assert run(jobs.wait_for, (go, count), tmp_path)[0] == "went"
    assert len(count.read_text().split()) == 2


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("runs", r"started on elsewhere \(process \d+\); wait for it there$"),
        ("ended", None),  # as a container that was started again has another host name
        ("never started", r"started on elsewhere .* remove .*job\.json"),
        ("no locks", r"started on elsewhere .* remove .*job\.json"),
    ],
)
def test_a_job_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, message: str | None
) -> None:
    run(jobs.report, ("work",), tmp_path)
    known = json.loads((tmp_path / "job.json").read_text())
    changes = {"host": "elsewhere", "collected": False, "key": "of another job"}
    (tmp_path / "job.json").write_text(json.dumps(known | changes))
    if state == "no locks":
        monkeypatch.setattr("vatrack.jobs.job_file.held", lambda path: None)
    with (tmp_path / ALIVE).open("a") as file, locked(file) if state == "runs" else nullcontext():
        if state == "never started":
            (tmp_path / ALIVE).unlink()
        if message is None:
            assert run(jobs.report, ("again",), tmp_path)[0] == "did again"
        else:
            with pytest.raises(InputError, match=message):
                run(jobs.report, ("again",), tmp_path)


def test_a_job_holds_its_lock_while_it_lives(tmp_path: Path) -> None:
    go, count = tmp_path / "go", tmp_path / "count"
    launcher = Launcher(tmp_path / "job", "wait_for", go, count)
    _until(count.exists, 60)
    assert held(tmp_path / "job" / ALIVE)
    go.touch()
    assert launcher.end()[0] == 0
    assert held(tmp_path / "job" / ALIVE) is False


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


def test_a_job_that_runs_again_after_its_work_is_done_does_not_repeat_it(tmp_path: Path) -> None:
    """Its node died after it wrote its product, but before its result: SLURM runs the same job once
    more."""
    go, count, product = (tmp_path / name for name in ("go", "count", "product"))
    go.touch()
    product.write_text("of an earlier training\n")
    job = JobCall(jobs.wait_for, (go, count, product), product=product)
    time.sleep(0.02)
    first, again = job(), pickle.loads(pickle.dumps(job))()
    assert len(count.read_text().splitlines()) == 1
    assert first.product == again.product == "complete\n"
    assert again.outcome == "done"
    JobCall(jobs.wait_for, (go, count, product), product=product)()
    assert len(count.read_text().splitlines()) == 2, "a new job works"


def test_after_a_failure_another_machine_may_go_on(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(jobs.bad_input, (), tmp_path)
    job = tmp_path / "job.json"
    job.write_text(json.dumps(json.loads(job.read_text()) | {"host": "elsewhere"}))
    assert run(jobs.report, ("work",), tmp_path)[0] == "did work"


def test_a_signal_ends_the_waiting_for_another_launcher(tmp_path: Path) -> None:
    waiting = JobFile(tmp_path, lambda: True)
    with (
        JobFile(tmp_path).lock(),
        pytest.raises(Interrupted, match="used by another launcher"),
        waiting.lock(),
    ):
        pass


def test_one_of_several_processes_with_bad_input_fails_so_that_the_others_are_ended(
    tmp_path: Path,
) -> None:
    code = (
        "from tests.jobs import jobs; from vatrack.jobs.submit import JobCall;"
        "print(JobCall(jobs.bad_input, (), {})())"
    )
    for processes, status in ((1, 0), (2, 1)):
        done = subprocess.run(
            [sys.executable, "-c", code.format(processes)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, "cut off; fetch it again" in done.stdout) == (status, True)


def test_a_copied_folder_has_no_job(tmp_path: Path) -> None:
    run(jobs.report, ("work",), tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert JobFile(tmp_path / "b").known(1, slurm=False) == (None, False)


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


@pytest.mark.parametrize(("answers", "asked"), [([True], 1), ([False, True], 2)])
def test_the_others_are_ended_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bool], asked: int
) -> None:
    """And again only where SLURM did not do so."""
    monkeypatch.setattr(wait, "PEER_SECONDS", 0.02)
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.001)
    ended: list[float] = []
    looks = iter(range(200))
    monkeypatch.setattr(SlurmJob, "over", lambda job: next(looks) > 150)

    def end(job: SlurmJob, seconds: float) -> bool:
        ended.append(time.monotonic())
        return answers[len(ended) - 1]

    monkeypatch.setattr(SlurmJob, "end", end)
    left = JobResult("bad input", "cut off")
    (tmp_path / "7_1_result.pkl").write_bytes(pickle.dumps(("success", left)))
    files = Files(tmp_path, "7", 2)
    assert follow_job(SlurmJob("7"), files, io.StringIO(), lambda: False)
    assert len(ended) == asked
    assert ended[-1] - ended[0] >= 0.02 * (asked - 1)


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


ON_SLURM: dict[str, Any] = {
    "cluster": "slurm",
    "gpu_type": "a100",
    "cpus": 8,
    "memory_gb": 170,
    "minutes": 28800,
}


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
