"""Whole runs of Snakemake with the terminal output of VATrack."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from pathlib import Path

import pytest

from tests.workflow.command import snakemake
from tests.workflow.small import PROGRAM, environment, run, small, squeezed
from tests.workflow.snake import SNAKEFILE, Workflow


@pytest.mark.slow
def test_a_small_run_in_a_file(tmp_path: Path) -> None:
    ended = run(tmp_path, "sleep 2")
    assert ended.returncode == 0 and ended.stderr == ""
    assert "\r" not in ended.stdout and "\x1b" not in ended.stdout
    lines = squeezed(ended.stdout.splitlines())
    assert lines[0] == "4 jobs to do"
    assert any("measuring 2 videos" in line for line in lines)
    assert any("training vatrack: epoch 1/2, iteration 3/8, about 3 min left" in x for x in lines)
    assert lines[-2].startswith("[100 %] end ")
    assert lines[-1].startswith("4 jobs in ")
    log = tmp_path / lines[-1].split("details: ")[1]
    assert "training vatrack" in log.read_text()
    again = run(tmp_path, "sleep 2")
    assert again.stdout == "nothing to do, everything is up to date\n"


@pytest.mark.slow
def test_a_small_run_that_fails(tmp_path: Path) -> None:
    ended = run(tmp_path, "echo there is nothing; exit 2")
    assert ended.returncode == 1
    assert "FAILED: training vatrack (rule train)\n" in ended.stderr
    assert "  | there is nothing\n  full log: logs/vatrack.log\n" in ended.stderr
    assert "CalledProcessError" not in ended.stderr
    assert "stopped by a failure after " in ended.stdout
    assert "2 of 4 jobs done\n  failed: training vatrack (logs/vatrack.log)" in ended.stdout


@pytest.mark.slow
def test_a_small_run_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = PROGRAM + small(tmp_path, "sleep 2")
    call = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    shown, end = b"", time.monotonic() + 100
    while time.monotonic() < end:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # its other end is closed
            break
    os.close(ours)
    assert call.wait() == 0
    text = shown.decode()
    assert text.count("about 3 min left\r\x1b[K") >= 1  # in place
    left = [line.rsplit("\r\x1b[K", 1)[-1].strip() for line in text.split("\r\n")]
    assert not any("min left" in line for line in left)
    assert sum("training vatrack" in line for line in left) == 1


@pytest.mark.slow
def test_what_asks_for_snakemakes_own_output_gets_it(tmp_path: Path) -> None:
    dry = run(tmp_path, "true", "-n")
    assert "This was a dry-run" in dry.stdout and "training vatrack" in dry.stdout
    assert dry.stdout.count("Job stats:") == 1, "the table of jobs once, at the end"
    ended = run(tmp_path, "true", "-p")
    assert ended.returncode == 0
    assert "4 of 5 steps" in ended.stderr or "5 of 5 steps" in ended.stderr
    assert "touch cut/a1.txt" in ended.stderr


@pytest.mark.slow
def test_the_workflows_own_profile_asks_for_it(finished: Workflow) -> None:
    words = ["-s", str(SNAKEFILE), "-d", str(finished.folder), "-c1"]
    words += ["--configfile", str(finished.config_file)]
    ended = snakemake(words, finished.folder, environment())
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "nothing to do, everything is up to date"
    assert any(line.startswith("vatrack__resnet18 ") for line in lines)
    assert "report: results/tiny/report.html" in lines
