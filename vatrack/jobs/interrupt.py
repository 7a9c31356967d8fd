"""Waiting that a signal ends, and what Ctrl-C means while a job is waited for."""

from __future__ import annotations

import logging
import os
import select
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Literal

from vatrack.common.locks import locked, patience

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 2.0
ANSWER_SECONDS = 30
ANSWERS = {"yes": True, "no": False, "no terminal": None}


class Interrupted(Exception):
    """A signal came while an answer was waited for."""


def never() -> bool:
    """For whom nothing interrupts."""
    return False


_told: set[str] = set()


def pause(interrupted: Callable[[], bool], why: str) -> None:
    """Waits a little; says why, once.

    Raises:
        Interrupted: it was, with the reason for the waiting.
    """
    if why not in _told:
        _told.add(why)
        logger.warning("%s; waiting", why)
    deadline = time.monotonic() + PAUSE_SECONDS
    while not interrupted():
        if time.monotonic() >= deadline:
            return
        time.sleep(0.1)
    raise Interrupted(why)


class Signals:
    """The signals that ended the waiting; they are noted, and whoever waits looks here."""

    def __init__(self) -> None:
        self.number: int | None = None  # the first one
        self.count = 0

    def note(self, number: int, _: FrameType | None) -> None:
        """Handler of a signal."""
        self.number = self.number or number
        self.count += 1

    def came(self) -> bool:
        """Whether one came."""
        return self.number is not None


@contextmanager
def noted_signals() -> Iterator[Signals]:
    """Notes the signals that end a process, so that the job can be seen to first.

    Signals can only be handled in the main thread; elsewhere their owner has to take care.
    """
    signals = Signals()
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if main else ()
    before = {number: signal.signal(number, signals.note) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keeps_job(signals: Signals, choice: Literal["ask", "cancel", "keep"], question: str) -> bool:
    """Whether a SLURM job keeps running although nobody waits for it any more.

    Args:
        choice: `launcher.on_interrupt`. ask: Ctrl-C asks on the terminal, and without one cancels;
            a terminal that is closed keeps the job, because it says nothing about the training.
    """
    if choice != "ask":
        return choice == "keep"
    if signals.number == signal.SIGHUP:
        return True
    if signals.number == signal.SIGINT:
        answer = ask_once(question, signals)
        return answer is False
    return False


def ask_once(question: str, signals: Signals) -> bool | None:
    """Asks a yes-or-no question on the terminal; None without one, False without an answer.

    Where several processes of one command are interrupted at once, one of them asks, and the others
    take its answer.
    """
    # A process group is what Ctrl-C reaches.
    path = Path(tempfile.gettempdir()) / f"vatrack-{os.getuid()}-{os.getpgrp()}.answer"
    _remove_old_answers(path)
    try:
        shared = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return _ask(question, signals)
    try:
        with locked(shared, patience(2 * ANSWER_SECONDS, str(path))):
            given, _, answer = os.read(shared, 100).decode(errors="replace").partition(" ")
            with suppress(ValueError, KeyError):
                if 0 <= time.time() - float(given) < ANSWER_SECONDS:
                    return ANSWERS[answer]
            found = _ask(question, signals)
            os.lseek(shared, 0, os.SEEK_SET)
            os.truncate(shared, 0)
            words = {value: word for word, value in ANSWERS.items()}
            os.write(shared, f"{time.time()} {words[found]}".encode())
            return found
    except TimeoutError:  # who asks was stopped
        return False
    finally:
        os.close(shared)


def _remove_old_answers(own: Path) -> None:
    """Removes what earlier commands of this user left, which nobody reads any more."""
    for path in own.parent.glob(f"vatrack-{os.getuid()}-*.answer"):
        with suppress(OSError):
            if path != own and time.time() - path.lstat().st_mtime > 10 * ANSWER_SECONDS:
                path.unlink()


def _ask(question: str, signals: Signals) -> bool | None:
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    # Who is not in the terminal's foreground is stopped when it reads; then reading shall fail
    # instead.
    before = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return None
        seen = signals.count
        os.write(terminal, f"\n{question} [y/N] ({ANSWER_SECONDS} s) ".encode())
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline and signals.count == seen:
            if select.select([terminal], [], [], 0.2)[0]:
                return os.read(terminal, 100).decode(errors="replace").strip().lower() in (
                    "y",
                    "yes",
                )
        os.write(terminal, b"\n")
        return False
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGTTIN, before)
        os.close(terminal)
