"""Jobs that a launcher finds: of one that was killed, that have ended, of another machine."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import jobs
from tests.jobs.launched import Launcher, run
from tests.server import REPOSITORY
from tests.waiting import alive, wait_until
from vatrack.common.errors import InputError
from vatrack.common.locks import held, locked
from vatrack.config import LauncherConfig
from vatrack.jobs import wait
from vatrack.jobs.call import ALIVE, JobCall, JobResult
from vatrack.jobs.interrupt import Interrupted
from vatrack.jobs.job_file import JobFile
from vatrack.jobs.launch import run_in_job
from vatrack.jobs.slurm import SlurmJob
from vatrack.jobs.wait import Files, follow_job


def test_a_job_whose_launcher_was_killed_is_waited_for(tmp_path: Path) -> None:
    go, count = tmp_path / "go", tmp_path / "count"
    first = Launcher(tmp_path / "job", "wait_for", go, count)
    wait_until(count.exists, 60)
    first.kill()
    second, third = (Launcher(tmp_path / "job", "wait_for", go, count) for _ in range(2))
    wait_until(
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
    wait_until(lambda: all("job " in launcher.shown for launcher in launchers), 60)
    go.touch()
    ended = [launcher.end() for launcher in launchers]
    assert [status for status, _ in ended] == [0, 0, 0]
    assert len(count.read_text().split()) == 1
    assert sum("is still running: waiting for it" in shown for _, shown in ended) == 2


def test_a_job_with_other_settings_is_not_waited_for(tmp_path: Path) -> None:
    go, count = tmp_path / "go", tmp_path / "count"
    first = Launcher(tmp_path / "run" / "job", "wait_for", go, count, key="a")
    wait_until(count.exists, 60)
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
    wait_until(lambda: not alive(int(number)), 30)
    # It is over, and its result is of other settings: a new job.
    assert again()
    assert len(count.read_text().split()) == 2


def test_a_result_that_nobody_waited_for_is_taken_once(tmp_path: Path) -> None:
    go, count, product = tmp_path / "go", tmp_path / "count", tmp_path / "product"
    arguments = (go, count, product)
    first = Launcher(tmp_path / "job", "wait_for", *arguments, key="a", product=product)
    wait_until(count.exists, 60)
    first.kill()
    number = int(json.loads((tmp_path / "job" / "job.json").read_text())["id"])
    go.touch()
    wait_until(lambda: not alive(number), 30)
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
    wait_until(lambda: not alive(int(known["id"])), 30)
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
    wait_until(count.exists, 60)
    assert held(tmp_path / "job" / ALIVE)
    go.touch()
    assert launcher.end()[0] == 0
    assert held(tmp_path / "job" / ALIVE) is False


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
        "from tests.jobs import jobs; from vatrack.jobs.call import JobCall;"
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


@pytest.mark.parametrize("processes", [1, 2])
def test_one_of_several_processes_that_breaks_off_ends_at_once(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its error is written: what is left of its group would wait for the others."""
    ending: list[str] = []
    monkeypatch.setattr("vatrack.jobs.call.fail_at_exit", lambda: ending.append("at once"))
    with pytest.raises(ZeroDivisionError):
        JobCall(jobs.crash, (), processes)()
    assert len(ending) == processes - 1


def test_a_start_that_another_one_has_replaced_leaves_no_result() -> None:
    """It would be taken for the result of the other one, which has the same number in SLURM."""
    with pytest.raises(SystemExit, match="error: run: another training has begun"):
        JobCall(jobs.lose_the_folder, ())()


def test_a_copied_folder_has_no_job(tmp_path: Path) -> None:
    run(jobs.report, ("work",), tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert JobFile(tmp_path / "b").known(1, slurm=False) == (None, False)


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
