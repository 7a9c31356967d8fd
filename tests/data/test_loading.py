"""Loading processes are real here, and so is what happens to them."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch

from tests.children import children_before, left_processes  # noqa: F401
from tests.waiting import alive, wait_until
from vatrack.common.errors import InputError
from vatrack.config import ComputeConfig
from vatrack.data import loading
from vatrack.data.loading import load_in_order
from vatrack.data.loading_process import AHEAD, reading

PATIENCE = 30  # seconds until a child process must be gone
TWO = ComputeConfig(workers=2)


@pytest.fixture(autouse=True)
def _nothing_is_left(children_before: None) -> Iterator[None]:  # noqa: F811
    yield
    assert left_processes() == []


@dataclass(frozen=True)
class Batch:
    images: torch.Tensor
    boxes: dict[str, list[torch.Tensor]]
    names: tuple[str, ...]


def make(number: int) -> Batch:
    generator = torch.Generator().manual_seed(number)
    images = torch.randn(number + 1, 3, 5, generator=generator)
    boxes = [torch.empty(0, 4), torch.tensor(number), images.transpose(0, 2)[::2], images > 0]
    return Batch(images, {"amodal": boxes}, (f"{number}.bmp",))


@pytest.mark.parametrize("workers", [0, 1, 2, 5, pytest.param(40, marks=pytest.mark.slow)])
def test_results_come_in_order_whatever_the_number_of_processes(workers: int) -> None:
    found = list(load_in_order(make, range(13), ComputeConfig(workers=workers)))
    assert [batch.names for batch in found] == [(f"{number}.bmp",) for number in range(13)]
    for number, batch in enumerate(found):
        for one, other in zip(
            [batch.images, *batch.boxes["amodal"]],
            [make(number).images, *make(number).boxes["amodal"]],
            strict=True,
        ):
            assert one.dtype == other.dtype and torch.equal(one, other)
        batch.images.add_(1)  # it is nobody else's
        assert batch.images.data_ptr() % 64 == 0 or workers == 0


def test_no_items_need_no_process() -> None:
    assert list(load_in_order(make, range(0), TWO)) == []


def test_only_a_few_results_are_made_ahead() -> None:
    made = multiprocessing.get_context("fork").Value("i", 0)

    def count(number: int) -> int:
        with made.get_lock():
            made.value += 1
        return number

    results = load_in_order(count, range(100), TWO)
    assert [next(results), next(results)] == [0, 1]
    time.sleep(0.5)
    assert made.value <= 2 + 2 * AHEAD
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_results_are_pinned_in_order(delay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the device replaced, as where there is no GPU."""
    devices: list[int] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)

    def load(item: int) -> int:
        time.sleep(delay)
        if item == 9:
            raise InputError("9.bmp: cut off")
        return item

    results = load_in_order(load, range(12), TWO, pin=lambda item: item + 100)
    for number in range(9):
        assert next(results) == 100 + number
        time.sleep(0.05 - delay)
    with pytest.raises(InputError, match=r"9\.bmp: cut off"):
        next(results)
    assert devices == [3]
    assert list(load_in_order(load, range(5), TWO, pin=lambda item: -item)) == [0, -1, -2, -3, -4]


def fail(error: Exception) -> Callable[[int], int]:
    def load(number: int) -> int:
        reading(f"{number}.bmp")
        if number == 3:
            raise error
        return number

    return load


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (InputError("3.bmp: cut off"), InputError, r"^3\.bmp: cut off$"),
        (MemoryError(), InputError, r"^out of memory while reading 3\.bmp; lower compute"),
        (
            OSError(errno.EMFILE, "Too many open files", "3.bmp"),
            InputError,
            r"^loading failed while reading 3\.bmp: this process .* limit of \d+ open files.*ulim",
        ),
        (OSError(errno.EIO, "Input/output error", "3.bmp"), OSError, r"error: '3\.bmp'$"),
    ],
)
def test_an_error_is_the_same_in_a_loading_process(
    workers: int, error: Exception, kind: type[Exception], message: str
) -> None:
    results = load_in_order(fail(error), range(8), ComputeConfig(workers=workers))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(kind, match=message):
        next(results)


def test_a_bug_in_a_loading_process_shows_where_it_is() -> None:
    with pytest.raises(
        RuntimeError, match="ZeroDivisionError in a data-loading process: a b"
    ) as found:
        list(load_in_order(fail(ZeroDivisionError("a bug")), range(8), TWO))
    assert "raise error" in found.value.__notes__[0]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGKILL, r"\(SIGKILL\) while reading /frames/3\.bmp: probably out of memory"),
        (signal.SIGBUS, r"\(SIGBUS\) while reading /frames/3\.bmp: a file was truncated"),
        (signal.SIGSEGV, r"\(SIGSEGV\) while reading /frames/3\.bmp; check that file for damage"),
        pytest.param(
            signal.SIGTERM,
            r"\(SIGTERM\) while reading /frames/3\.bmp, killed from outside; run",
            marks=pytest.mark.slow,
        ),
        (None, r"\(exit code 7\) while reading /frames/3\.bmp; check"),
    ],
)
def test_a_loading_process_that_ends(number: signal.Signals | None, message: str) -> None:
    def load(item: int) -> int:
        reading(f"/frames/{item}.bmp")
        if item == 3:
            if number is None:
                os._exit(7)
            if number in (signal.SIGBUS, signal.SIGSEGV):
                signal.signal(number, signal.SIG_DFL)  # pytest's own handler would print a page
            os.kill(os.getpid(), number)
        return item

    results = load_in_order(load, range(8), TWO)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match=message) as found:
        next(results)
    if number in (signal.SIGKILL, signal.SIGBUS):
        assert "lower compute.workers (now 2; 0: load in the main process)" in str(found.value)


@pytest.mark.parametrize("way", ["stopped", "asleep"])
def test_a_loading_process_that_hangs(way: str) -> None:
    def load(item: int) -> int:
        reading(f"/frames/{item}.bmp")
        if item == 3:
            if way == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(100)
        return item

    compute = ComputeConfig(workers=2, loader_timeout_seconds=1.0)
    start = time.monotonic()
    with pytest.raises(
        InputError,
        match=r"did not respond for 1 s while reading /frames/3\.bmp; .*loader_timeout_seconds",
    ):
        list(load_in_order(load, range(8), compute))
    assert time.monotonic() - start < 60, "it waits for what hangs"


def test_a_signal_that_comes_while_one_hangs_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "STOP_SECONDS", 0.5)

    def obey() -> None:
        raise SystemExit(143)

    results = load_in_order(time.sleep, [100.0] * 3, TWO, stop=lambda: True, obey=obey)
    with pytest.raises(SystemExit):
        next(results)


def test_a_signal_to_all_processes_takes_no_batch_away() -> None:
    asked = False

    def load(item: int) -> int:
        time.sleep(0.02)
        return item

    results = load_in_order(load, range(20), TWO, stop=lambda: asked)
    found = [next(results) for _ in range(3)]
    for process in left_processes():
        os.kill(process.pid or 0, signal.SIGTERM)
    asked = True
    assert [*found, *results] == list(range(20))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_other_signals_do_not_concern_a_loading_process(number: signal.Signals) -> None:
    results = load_in_order(lambda item: item, range(20), TWO)
    found = [next(results)]
    for process in left_processes():
        os.kill(process.pid or 0, number)
    assert [*found, *results] == list(range(20))


@pytest.mark.parametrize("end", ["break", "error"])
def test_loading_processes_end_with_the_loop(end: str) -> None:
    try:
        for item in load_in_order(lambda item: item, range(100), TWO):
            if item == 5:
                assert len(left_processes()) == 2
                if end == "break":
                    break
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert left_processes() == []


PROGRAM = """
import os, signal, sys, time
from vatrack.common.errors import InputError
from vatrack.config import ComputeConfig
from vatrack.data.loading import load_in_order
import torch

def load(item):
    if item == {slow}:
        print(os.getpid(), flush=True)
        {act}
    return torch.zeros(300_000)

results = load_in_order(load, range(20), ComputeConfig(workers={workers}))
try:
    {use}
except InputError as error:
    print(error)
    sys.exit(2)
"""


def program(
    use: str, act: str = "pass", slow: int = -1, workers: int = 2
) -> subprocess.Popen[bytes]:
    code = PROGRAM.format(use=use, act=act, slow=slow, workers=workers)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


ASLEEP, STOPPED = "time.sleep(100)", "os.kill(os.getpid(), signal.SIGSTOP)"


@pytest.mark.parametrize(
    ("number", "act"),
    [
        (signal.SIGKILL, STOPPED),
        pytest.param(signal.SIGKILL, ASLEEP, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, STOPPED, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, ASLEEP, marks=pytest.mark.slow),
    ],
)
def test_loading_processes_end_with_their_parent(number: signal.Signals, act: str) -> None:
    process = program("list(results)", act, slow=3)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(number)
    process.wait(PATIENCE)
    wait_until(lambda: not alive(child), PATIENCE)
    process.communicate()


def test_a_program_that_forgets_its_iteration_ends_although_a_process_is_stopped() -> None:
    use = "keep = [next(results), results]; sys.argv.append(keep); time.sleep(0.5)"
    process = program(use, "os.kill(os.getpid(), signal.SIGSTOP)", slow=3)
    assert process.communicate(timeout=PATIENCE)[1] == b""
    assert process.returncode == 0


def test_the_size_of_dev_shm_does_not_matter() -> None:
    mount = "mount -t tmpfs -o size=64k vatrack-test /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("no private /dev/shm can be mounted here")
    code = PROGRAM.format(use="print(len(list(results)))", act="pass", slow=-1, workers=2)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && exec "$0" -c "$1"', sys.executable, code],
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"20\n", b"")


def test_few_open_files_are_enough_and_too_few_are_said() -> None:
    """A batch needs one file open while it is used, and none afterwards."""
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {0}))"
    use = (
        "import resource; used = len(os.listdir('/proc/self/fd'));"
        f"{limit.format('used + 20')}; print(len(list(results)));"
        "import gc; gc.collect(); print(len(os.listdir('/proc/self/fd')) - used);"
        "used = len(os.listdir('/proc/self/fd')) - 1;"
        f"{limit.format('used + 3')};"
        "list(load_in_order(load, range(20), ComputeConfig(workers=2)))"
    )
    output, errors = program(use.replace("list(results)", "[0 for _ in results]")).communicate(
        timeout=PATIENCE
    )
    assert errors == b""
    first, left, message = output.decode().splitlines()
    assert (first, left) == ("20", "0")
    assert message.startswith(
        "no data-loading process can be started: this process has reached its limit of "
    )
    assert "open files; raise the limit (ulimit -n; up to " in message


def test_the_soft_limit_of_open_files_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < loading.FILES:
        pytest.skip("the hard limit is low here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        list(load_in_order(lambda item: item, range(3), TWO))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (loading.FILES, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
