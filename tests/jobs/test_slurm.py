"""What SLURM's answers mean. Here a script answers in its place; tests/slurm asks a real one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vatrack.common.errors import InputError
from vatrack.common.user import user_name
from vatrack.config import LauncherConfig
from vatrack.jobs import interrupt, slurm
from vatrack.jobs.interrupt import Interrupted
from vatrack.jobs.job_file import JobFile
from vatrack.jobs.launch import run_in_job
from vatrack.jobs.slurm import GONE, SlurmJob, find_slurm_job

Answer = Callable[..., None]


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Sets what `squeue` answers from now on."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for module, name in (
        (slurm, "SHORTEST_CHECK"),
        (slurm, "LONGEST_CHECK"),
        (interrupt, "PAUSE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.0)

    def answer(out: str = "", err: str = "", status: int = 0) -> None:
        script = tmp_path / "squeue"
        script.write_text(
            f"#!/bin/sh\ncat <<'.'\n{out}\n.\ncat >&2 <<'.'\n{err}\n.\nexit {status}\n"
        )
        script.chmod(0o755)

    return answer


@pytest.mark.parametrize(
    ("out", "state", "news"),
    [
        ("PENDING|Resources|", "PENDING", "pending (Resources)"),
        ("RUNNING|None|n[1-2]", "RUNNING", "running on n[1-2]"),
        ("", GONE, ""),
    ],
)
def test_a_state_in_words(squeue: Answer, out: str, state: str, news: str) -> None:
    squeue(out)
    job = SlurmJob("7")
    assert (job.ask(), job.news) == (state, news)
    assert job.alive() == (state != GONE)


def test_a_job_that_slurm_has_forgotten_is_over(squeue: Answer) -> None:
    squeue(err="slurm_load_jobs error: Invalid job id specified", status=1)
    job = SlurmJob("7")
    assert job.ask() == GONE
    assert (job.over(), job.over()) == (False, True)
    assert job.ending == f"SLURM state {GONE}"


def test_a_controller_that_is_away_ends_nothing(squeue: Answer) -> None:
    squeue(
        err="slurm_load_jobs error: Unable to contact slurm controller (connect failure)", status=1
    )
    job = SlurmJob("7")
    assert job.ask() is None
    assert not any(job.over() for _ in range(3))


def test_a_long_silence_is_told_until_it_ends(squeue: Answer) -> None:
    job = SlurmJob("7")
    squeue("RUNNING|None|n1")
    job.over()
    squeue(status=1)
    news = [job.news for _ in range(slurm.SILENT) if not job.over()]
    assert news == [
        "running on n1",
        "running on n1",
        "SLURM gives no usable answer to squeue; waiting",
    ]
    squeue("RUNNING|None|n2")
    assert not job.over()
    assert job.news == "running on n2"


@pytest.mark.parametrize(
    ("out", "state"),
    [
        ("Welcome to the cluster\nRUNNING|None|n1", "RUNNING"),
        ("please wait", None),
        ("PENDING|Resources", None),
    ],
)
def test_other_lines_than_the_answer(squeue: Answer, out: str, state: str | None) -> None:
    squeue(out)
    assert SlurmJob("7").ask() == state


def test_a_job_that_is_queued_again_is_not_over(squeue: Answer) -> None:
    job = SlurmJob("7")
    for state, over in (
        ("NODE_FAIL", False),
        ("PENDING", False),
        ("COMPLETING", False),
        ("TIMEOUT", False),
        ("TIMEOUT", True),
    ):
        squeue(f"{state}|None|")
        assert job.over() == over, state
    assert not job.alive()


def test_a_job_is_found_by_its_comment(squeue: Answer) -> None:
    squeue("3|(null)\n5|vatrack-aa-key\n6|vatrack-bb-key2\n")
    assert find_slurm_job("vatrack-bb") == ("6", "vatrack-bb-key2")
    assert find_slurm_job("vatrack-cc") is None


def test_no_answer_is_not_taken_for_no_job(squeue: Answer) -> None:
    """A job that was submitted by a launcher that was killed would be submitted twice."""
    away = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    asked = 0

    def comes_back() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            squeue("6|vatrack-bb-key2\n")
        return False

    squeue(err=away, status=1)
    assert find_slurm_job("vatrack-bb", comes_back) == ("6", "vatrack-bb-key2")
    assert asked >= 3


def test_a_signal_ends_the_waiting_for_an_answer(
    squeue: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    squeue(
        err="slurm_load_jobs error: Unable to contact slurm controller (connect failure)", status=1
    )
    with pytest.raises(Interrupted, match="SLURM returns no state for job 7"):
        SlurmJob("7").alive(lambda: True)
    with pytest.raises(Interrupted, match="SLURM does not respond to squeue"):
        find_slurm_job("vatrack", lambda: True)
    assert "SLURM returns no state for job 7; waiting" in caplog.messages


def test_without_slurm_there_is_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert SlurmJob("7").ask() == GONE
    assert not SlurmJob("7").end()
    assert find_slurm_job("vatrack") is None


def test_a_user_without_a_name_is_a_number(squeue: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker run --user 12345`."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert user_name() == str(os.getuid())
    squeue("6|vatrack-bb-key2\n")
    assert find_slurm_job("vatrack-bb") == ("6", "vatrack-bb-key2")
    assert JobFile(Path("job")).token


@pytest.mark.parametrize(
    ("there", "missing"),
    [((), "no sbatch and no srun in PATH"), (("srun",), "no sbatch in PATH")],
)
def test_without_slurm_nothing_is_launched(
    there: tuple[str, ...], missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for command in there:
        (commands / command).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(commands))
    with pytest.raises(InputError) as caught:
        run_in_job(str, (), LauncherConfig(cluster="slurm"), tmp_path / "job")
    assert str(caught.value) == (
        f"config: launcher.cluster: is slurm, but SLURM is not available: {missing}; run this on a "
        "login node of the cluster, or set it to local"
    )
    assert not (tmp_path / "job").exists()


def test_a_refusal_is_shown_whole_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    reason = "sbatch: error: lua: partition gpu takes at most 4 GPUs"
    last = "sbatch: error: Batch job submission failed: Unspecified error"
    for command, text in (
        ("srun", "exit 0"),
        ("squeue", "exit 0"),
        ("sbatch", f"echo '{reason}' >&2; echo '{last}' >&2; exit 1"),
    ):
        (commands / command).write_text(f"#!/bin/sh\n{text}\n")
        (commands / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    with pytest.raises(InputError) as caught:
        run_in_job(str, (), LauncherConfig(cluster="slurm"), tmp_path / "job")
    assert str(caught.value).splitlines() == [
        "config: launcher: slurm refused the job; check this section:",
        f"  {reason}",
        f"  {last}",
    ]
    assert "sbatch: error" not in capfd.readouterr().err  # the command line says it
