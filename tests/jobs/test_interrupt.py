"""Ctrl-C on a real (pseudo-)terminal: what is asked, how often, and what follows from the
answer."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.waiting import wait_until
from vatrack.common.locks import locked
from vatrack.jobs import interrupt
from vatrack.jobs.interrupt import Signals, ask_once, keeps_job

# Two processes of one group are interrupted together; each writes what it would do with its job.
CHILD = """
import os, sys, time
from pathlib import Path
from vatrack.jobs import interrupt
interrupt.ANSWER_SECONDS = float(sys.argv[2])
folder = Path(sys.argv[1])
name = "a" if os.fork() else "b"
with interrupt.noted_signals() as signals:
    (folder / f"{name}.ready").touch()
    while not signals.came():
        time.sleep(0.05)
    kept = interrupt.keeps_job(signals, "ask", "Cancel it?")
(folder / f"{name}.part").write_text(str(kept))
(folder / f"{name}.part").rename(folder / f"{name}.kept")
if name == "a":
    os.wait()
"""


def answers(folder: Path, typed: bytes, seconds: float = 20) -> tuple[dict[str, str], str]:
    """What both processes decide after Ctrl-C and `typed`, and what the terminal shows."""
    child, terminal = pty.fork()
    if not child:
        os.environ["TMPDIR"] = str(folder)
        os.execv(sys.executable, [sys.executable, "-c", CHILD, str(folder), str(seconds)])
    shown = b""
    deadline = time.monotonic() + 60
    try:
        wait_until(lambda: all((folder / f"{name}.ready").exists() for name in "ab"), 60)
        os.write(terminal, b"\x03")  # Ctrl-C
        while not all((folder / f"{name}.kept").exists() for name in "ab"):
            assert time.monotonic() < deadline, shown
            if select.select([terminal], [], [], 0.1)[0]:
                with suppress(OSError):  # both have ended
                    shown += os.read(terminal, 1000)
            if b"[y/N]" in shown and typed:
                os.write(terminal, typed)
                typed = b""
    finally:
        os.kill(child, signal.SIGHUP) if time.monotonic() > deadline else None
        os.close(terminal)
        os.waitpid(child, 0)
    return {name: (folder / f"{name}.kept").read_text() for name in "ab"}, shown.decode()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(b"y\n", "False"), (b"n\n", "True"), (b"\n", "True"), (b"\x03", "True")],
    ids=["y", "n", "enter", "ctrl-c"],
)
def test_ctrl_c_asks_once_for_all_jobs(tmp_path: Path, typed: bytes, kept: str) -> None:
    decided, shown = answers(tmp_path, typed)
    assert decided == {"a": kept, "b": kept}
    assert shown.count("Cancel it? [y/N]") == 1


def test_no_answer_keeps_the_job(tmp_path: Path) -> None:
    decided, _ = answers(tmp_path, b"", seconds=1)
    assert decided["a"] == decided["b"] == "True"


def test_answers_to_earlier_commands_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(interrupt, "_ask", lambda question, signals: True)
    mine, others = f"vatrack-{os.getuid()}", f"vatrack-{os.getuid() + 1}"
    for name in (f"{mine}-1.answer", f"{others}-1.answer", f"{mine}-x"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / f"{mine}-2.answer").touch()  # it may still be asked
    assert ask_once("?", Signals())
    left = {f"{mine}-2.answer", f"{mine}-{os.getpgrp()}.answer", f"{others}-1.answer", f"{mine}-x"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_question_of_a_stopped_process_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(interrupt, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(interrupt, "_ask", lambda question, signals: True)
    path = tmp_path / f"vatrack-{os.getuid()}-{os.getpgrp()}.answer"
    with path.open("a") as file, locked(file):
        assert ask_once("?", Signals()) is False
    assert ask_once("?", Signals()) is True


@pytest.mark.parametrize(
    ("choice", "number", "kept"),
    [
        ("cancel", signal.SIGINT, False),
        ("cancel", signal.SIGHUP, False),
        ("keep", signal.SIGINT, True),
        ("keep", signal.SIGTERM, True),
        ("ask", signal.SIGINT, False),  # no terminal
        ("ask", signal.SIGTERM, False),
        ("ask", signal.SIGHUP, True),  # the terminal was closed
    ],
)
def test_without_a_terminal_the_config_decides(
    monkeypatch: pytest.MonkeyPatch, choice: str, number: int, kept: bool
) -> None:
    monkeypatch.setattr(interrupt, "ask_once", lambda question, signals: None)
    signals = Signals()
    signals.note(number, None)
    assert keeps_job(signals, choice, "?") is kept  # type: ignore[arg-type]
