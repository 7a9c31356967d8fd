"""Work spread over processes, and the progress that long work shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from tests.children import children_before, left_processes  # noqa: F401
from vatrack.common import logs, parallel
from vatrack.common.errors import InputError
from vatrack.common.parallel import ordered_map, ordered_streams
from vatrack.common.progress import progress

ROOT = Path(parallel.__file__).parents[2]


def scaled(number: int, factor: int) -> tuple[int, int]:
    return number * factor, os.getpid()


def slow_first(number: int, _: None) -> int:
    """The first items take longest, so that later ones are done before them."""
    return sum(range(3_000_000 if number < 2 else 10)) * 0 + number


def refuse_seven(number: int, what: str) -> int:
    if number == 7:
        raise InputError(f"{what}: {number} is bad")
    return number


def die_at_three(number: int, _: None) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("count", [0, 1, 4, 5, 23])
def test_results_come_in_order_whatever_the_number_of_processes(count: int) -> None:
    found = {
        processes: list(ordered_map(scaled, range(count), processes, 3)) for processes in (1, 2)
    }
    assert [[value for value, _ in results] for results in found.values()] == [
        [3 * n for n in range(count)]
    ] * 2
    assert {process for _, process in found[1]} <= {os.getpid()}
    assert os.getpid() not in {process for _, process in found[2]}
    assert left_processes() == []


def test_a_script_does_not_run_again_in_its_workers(tmp_path: Path) -> None:
    """As `vatrack.evaluate(..., processes=2)` at the top level of a script of a user's."""
    script = tmp_path / "script.py"
    script.write_text(
        "from tests.common.test_parallel import counting\n"
        "from vatrack.common.parallel import ordered_map, ordered_streams\n"
        "print('begun')\n"
        "print(list(ordered_map(pow, range(3), 2, 2)))\n"
        "print(len(list(ordered_streams(counting, '', [1, 2], 2))))\n"
        "print(__file__.endswith('script.py'), __spec__)\n"
        "del __file__  # a notebook has none\n"
        "print(list(ordered_map(pow, range(3), 2, 2)), '__file__' in globals())\n"
    )
    words = [sys.executable, str(script)]
    ended = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        *("begun", "[0, 1, 4]", "3", "True None"),
        "[0, 1, 4] False",
    ]


def test_a_slow_item_is_waited_for() -> None:
    assert list(ordered_map(slow_first, range(20), 2, None)) == list(range(20))


@pytest.mark.parametrize("processes", [0, 1, 2, 3])
def test_only_a_few_items_are_on_the_way(processes: int) -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(40):
            drawn += 1
            yield number

    most = 0
    for taken, _ in enumerate(ordered_map(scaled, items(), processes, 1)):
        most = max(most, drawn - taken)
    assert drawn == 40
    assert most == (1 if processes <= 1 else 2 * processes + 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_error_of_a_worker_comes_through_in_its_turn(processes: int) -> None:
    results = ordered_map(refuse_seven, range(30), processes, "input")
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(InputError, match=r"^input: 7 is bad$"):
        next(results)
    assert left_processes() == []


@pytest.mark.parametrize("processes", [1, 2])
def test_the_error_of_the_items_comes_through(processes: int) -> None:
    def items() -> Iterator[int]:
        yield from range(6)
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        list(ordered_map(scaled, items(), processes, 1))
    assert left_processes() == []


@pytest.mark.parametrize("processes", [1, 2])
def test_who_takes_only_some_results_leaves_no_process_behind(processes: int) -> None:
    results = ordered_map(scaled, range(1000), processes, 1)
    assert next(results)[0] == 0
    results.close()  # type: ignore[attr-defined]
    assert left_processes() == []


def test_a_worker_that_is_killed_ends_the_work() -> None:
    """As the kernel does when memory is short."""
    told = "^a worker process was killed, probably because memory ran out; lower this$"
    with pytest.raises(BrokenProcessPool, match=told):
        list(ordered_map(die_at_three, range(30), 2, None, "lower this"))
    assert left_processes() == []


JOB = """
import os, signal, sys
from vatrack.common.parallel import ordered_map, ordered_streams

def work(number, _):
    os.write(1, b"%d\\n" % os.getpid())  # at once: two processes' lines must not mix
    return number

if __name__ == "__main__":
    for number in ordered_map(work, range(100), 2, None):
        if number == 20:
            os.kill(os.getpid(), int(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path: Path, number: int) -> None:
    (tmp_path / "job.py").write_text(JOB)
    # The output ends with the last process that has it open: this waits for the workers, and fails
    # where they live on.
    done = subprocess.run(
        [sys.executable, str(tmp_path / "job.py"), str(int(number))],
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -number
    assert len(done.stdout.split()) > 20


INTERRUPTED = """
import os, signal, sys, time
from vatrack.common.parallel import ordered_map

def say(*words):
    os.write(1, " ".join(words).encode() + b"\\n")

def work(number, seconds):
    try:
        say("working")
        time.sleep(seconds)
    finally:
        say("cleaned")
    return number

def items():
    say("asked")
    yield from range(40)

if __name__ == "__main__":
    when = sys.argv[1]
    try:
        for number in ordered_map(work, items(), 2, 600 if when == "working" else 0):
            if number == 9:
                say("idle")
                time.sleep(600)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("when", ["asked", "working", "idle"])
def test_ctrl_c_ends_workers_without_a_word(tmp_path: Path, when: str) -> None:
    """While they start, work, or wait; work is interrupted and can clean up."""
    (tmp_path / "job.py").write_text(INTERRUPTED)
    job = subprocess.Popen(
        [sys.executable, str(tmp_path / "job.py"), when],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    lines: list[str] = []
    while lines[-1:] != [when]:
        lines.append(job.stdout.readline().decode().strip())
        assert lines[-1], job.stderr.read()
    if when == "asked":
        time.sleep(0.2)  # the first worker has been started, and loads its modules
    os.killpg(job.pid, signal.SIGINT)
    # The output ends with the last process that has it open.
    output, errors = job.communicate(timeout=60)
    lines += output.decode().split()
    assert (job.returncode, errors) == (130, b"")
    assert lines.count("working") == lines.count("cleaned")
    assert lines.count("working") <= (2 if when == "working" else 40)


class Counter:
    """Counts up to each item; the first items are the slowest."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __call__(self, item: int) -> Iterator[tuple[int, int]]:
        if (self.what, item) == ("refuse", 3):
            raise InputError("3 is bad")
        for number in range(item):
            if (self.what, item, number) == ("die", 3, 1):
                os.kill(os.getpid(), signal.SIGKILL)
            if (self.what, item, number) == ("raise", 3, 1):
                raise ZeroDivisionError("no reason")
            time.sleep(0.02 if item < 3 else 0)
            yield item, number


def counting(what: str) -> Counter:
    return Counter(what)


def refused(what: str) -> Counter:
    raise InputError(f"{what} cannot begin")


def test_streams_come_item_by_item_in_order() -> None:
    items, arrived = [2, 0, 1, 4, 0, 3, 1, 2, 5, 1, 1, 1], []
    found = list(ordered_streams(counting, "", items, 2, lambda: arrived.append(1)))
    assert found == [(item, number) for item in items for number in range(item)]
    assert len(arrived) == len(found)
    assert left_processes() == []
    assert list(ordered_streams(counting, "", [], 2)) == []


@pytest.mark.parametrize(
    ("start", "what", "error", "message"),
    [
        (counting, "refuse", InputError, "^3 is bad$"),
        (counting, "raise", ZeroDivisionError, "no reason"),
        (counting, "die", BrokenProcessPool, "^a worker process was killed.*; use fewer --proc"),
        (refused, "work", InputError, "^work cannot begin$"),
    ],
)
def test_what_ends_a_stream_ends_all(
    start: Any, what: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(ordered_streams(start, what, [1, 2, 3, 100_000], 2))
    assert left_processes() == []


def test_who_leaves_a_stream_leaves_no_process_behind() -> None:
    results = ordered_streams(counting, "", [1, 1000, 1000, 1000], 2)
    assert next(results) == (1, 0)
    results.close()  # type: ignore[attr-defined]
    assert left_processes() == []


def test_progress_prints_a_line_a_minute_into_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = 1000.0
    monkeypatch.setattr("vatrack.common.progress.time.monotonic", lambda: clock)
    found = []
    for item in progress("abcdefgh", "letters", 8):
        found.append(item)
        clock += 30
    assert found == list("abcdefgh")
    assert capsys.readouterr().err.splitlines() == [
        "letters: 2 of 8, about 3 min left (0.0 a second)",
        "letters: 4 of 8, about 2 min left (0.0 a second)",
        "letters: 6 of 8, about 1 min left (0.0 a second)",
        "letters: 8 of 8, less than a minute left (0.0 a second)",
    ]
    assert list(progress([], "nothing", 0)) == []
    with logs.warnings_only():
        for _ in progress("abcdefgh", "letters", 8):
            clock += 30
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress(range(5), "numbers", 5)) == list(range(5))
    shown = capsys.readouterr().err
    assert "numbers:   0%" in shown and shown.endswith("\r")  # taken away at the end
    with logs.warnings_only():
        assert list(progress(range(5), "numbers", 5)) == list(range(5))
    assert capsys.readouterr().err == ""


def test_the_first_process_takes_no_signal_before_it_is_ready() -> None:
    """Python's tracker of resources, which starts with it, would let the signals in."""
    script = (
        "import signal\n"
        "from multiprocessing import resource_tracker\n"
        "from vatrack.common.parallel import _signals_afterwards\n"
        "from vatrack.common.signals import NUMBERS\n"
        "with _signals_afterwards():\n"
        "    resource_tracker.ensure_running()\n"
        "    assert set(NUMBERS) <= signal.pthread_sigmask(signal.SIG_BLOCK, ())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
