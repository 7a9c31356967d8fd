"""Signals to Snakemake: what ends, what goes on, and that what is said of it is true."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.command import snakemake
from tests.workflow.snake import SNAKEFILE
from tests.workflow.test_logger import PROGRAM, environment, small
from workflow.lib.interrupt import STILL

# As rules/common.smk does it. Where the tests run in the background of a script, their processes
# ignore Ctrl-C.
HANDLED = """
import signal
from workflow.lib.interrupt import Interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt = Interrupt()
interrupt.install()
onstart:
    interrupt.begin()
"""


def begun(words: list[str], folder: Path, line: str) -> subprocess.Popen[str]:
    """`snakemake WORDS` in a session of its own, when it has shown a line."""
    call = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert call.stdout is not None
    for shown in call.stdout:
        if line in shown:
            return call
    raise AssertionError(f"it ended with {call.wait()}")


def handled(folder: Path, work: str) -> list[str]:
    """Words of a small workflow that handles SIGINT."""
    words = small(folder, work)
    file = folder / "Snakefile"
    file.write_text(HANDLED + file.read_text())
    return words


@pytest.mark.slow
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["alone", "group"])
def test_an_interrupt_reaches_the_jobs_once(
    tmp_path: Path, send: Callable[[int, int], None]
) -> None:
    """Sent to Snakemake alone, or to all processes as by Ctrl-C; a second one is answered."""
    work = "trap 'echo job 5 keeps running' INT; sleep 60 & wait || sleep 3; exit 1"
    call = begun(handled(tmp_path, work), tmp_path, "iteration 3/8")
    send(call.pid, signal.SIGINT)
    assert call.stdout is not None
    before: list[str] = []
    while not before or "stopping" not in before[-1]:
        before.append(call.stdout.readline())
    os.kill(call.pid, signal.SIGINT)
    shown, _ = call.communicate(timeout=60)
    shown = "".join(before) + shown
    assert call.returncode != 0
    assert "interrupted after " in shown and "2 of 4 jobs done" in shown
    assert shown.count("job 5 keeps running") == 1
    assert shown.count(STILL) == 1
    assert "FAILED" not in shown and "Traceback" not in shown
    assert shown.endswith("run the same command again to resume\n")


@pytest.mark.slow
def test_after_sigterm_the_running_jobs_go_on(tmp_path: Path) -> None:
    call = begun(small(tmp_path, "sleep 3"), tmp_path, "iteration 3/8")
    os.kill(call.pid, signal.SIGTERM)
    shown, _ = call.communicate(timeout=60)
    assert shown.count("waiting for the running jobs, starting no others") == 1
    assert "interrupted after " in shown and "3 of 4 jobs done" in shown
    assert "Traceback" not in shown


@pytest.mark.slow
def test_an_interrupt_before_the_first_job(tmp_path: Path) -> None:
    words = handled(tmp_path, "true")
    with (tmp_path / "Snakefile").open("a") as file:
        file.write("signal.raise_signal(signal.SIGINT)\n")
    ended = snakemake(words, tmp_path, environment())
    assert (ended.returncode, ended.stderr) == (130, "stopped\n")
    assert not (tmp_path / "vatrack.txt").exists()


@pytest.mark.slow
def test_the_workflow_itself_passes_it_on(tmp_path: Path) -> None:
    videos = "{train_videos: 500, valid_videos: 1}"
    words = ["-s", str(SNAKEFILE), "-c1", "--until", "synth"]
    words += ["--config", f"dataset={{synthetic: {videos}}}"]
    call = begun(words, tmp_path, "1 job to do")
    log = tmp_path / "results/mini/logs/synth.log"
    deadline = time.monotonic() + 60
    while not log.exists() or not list(log.parents[1].glob(".raw*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(call.pid, signal.SIGINT)
    shown, _ = call.communicate(timeout=60)
    assert "interrupted after " in shown and "Traceback" not in shown + log.read_text()
    assert not list(log.parents[1].glob("*raw*"))
