"""Claims of GPUs, with a machine that says it has some."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch

from vatrack.common.gpus import claimed, hold, visible_gpus
from vatrack.common.locks import try_locked

CLAIM = """
import sys, torch
torch.cuda.device_count = lambda: 2
from vatrack.common.gpus import claimed
print("ready", flush=True)
sys.stdin.readline()
with claimed(int(sys.argv[1])) as gpus:
    print(*(gpu.name for gpu in gpus), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def _two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def names(stack: ExitStack, number: int = 1, first: int = 0) -> list[str]:
    return [gpu.name for gpu in stack.enter_context(claimed(number, first))]


@contextmanager
def claimers(*numbers: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that claim so many GPUs each, as soon as they are told to."""
    with ExitStack() as stack:
        found = []
        for number in numbers:
            process = subprocess.Popen(
                [sys.executable, "-c", CLAIM, str(number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            found.append(process)
        for process in found:
            assert answer(process) == "ready"
        yield found


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_each_claim_takes_a_free_gpu_and_gives_it_back() -> None:
    with ExitStack() as one, ExitStack() as two:
        assert names(one) == ["0"]
        assert names(two) == ["1"]
        one.close()
        assert names(one) == ["0"]


def test_the_named_one_is_taken_first_but_a_free_one_before_it() -> None:
    with ExitStack() as stack:
        assert names(stack, first=3) == ["1"]
        assert names(stack, first=1) == ["0"]


def test_where_all_are_taken_they_are_shared_in_turn_and_stay_taken() -> None:
    with ExitStack() as owner, ExitStack() as others, ExitStack() as last:
        assert names(owner, 2) == ["0", "1"]
        assert [names(others, first=first) for first in (0, 1)] == [["0"], ["1"]]
        others.close()
        assert names(others, first=1) == ["1"]
        owner.close()  # one is still held by who shared it
        assert names(last, first=1) == ["0"]


def test_more_than_there_are_is_all_of_them() -> None:
    with ExitStack() as stack:
        assert names(stack, 3) == ["0", "1"]


def test_two_processes_that_claim_at_once_get_different_gpus() -> None:
    with claimers(1, 1) as processes:
        for process in processes:
            tell(process)
        assert sorted(map(answer, processes)) == ["0", "1"]


def test_a_process_that_was_killed_holds_nothing() -> None:
    with claimers(2) as (process,), ExitStack() as before, ExitStack() as after:
        tell(process)
        assert answer(process) == "0 1"
        assert names(before, first=1) == ["1"]  # shared
        before.close()
        process.kill()
        process.wait()
        assert [names(after), names(after)] == [["0"], ["1"]]


def test_gpus_are_known_by_the_names_the_user_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, MIG-GPU-5f/1/0,9")
        (gpu,) = stack.enter_context(claimed(1))
        assert (gpu.name, gpu.index) == ("3", 0)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
        assert names(stack, first=1) == ["1"]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,MIG-GPU-5f/1/0")
        assert names(stack) == ["MIG-GPU-5f/1/0"]


def test_the_same_number_in_another_slurm_job_is_another_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        for job in ("7", "8"):
            monkeypatch.setenv("SLURM_JOB_ID", job)
            assert names(stack) == ["0"]
        assert names(stack) == ["1"]
        before = list(tmp_path.iterdir())
        monkeypatch.setenv("SLURM_JOB_ID", "9")
        assert names(stack, 2) == ["0", "1"]
        assert list(tmp_path.iterdir()) == before  # nothing to choose, nothing to leave


def test_who_holds_a_gpu_waits_until_another_has_looked_whether_it_is_taken() -> None:
    (gpu,) = visible_gpus()[:1]
    gpu.lock.parent.mkdir()
    holding, over = threading.Event(), threading.Event()

    def work() -> None:
        with hold([gpu]):
            holding.set()
            over.wait(60)

    worker = threading.Thread(target=work)
    with gpu.lock.open("a") as file, try_locked(file) as mine:  # what a look is
        assert mine
        worker.start()
        assert not holding.wait(0.05)
    assert holding.wait(60)
    with gpu.lock.open("a") as file, try_locked(file) as mine:
        assert not mine
    over.set()
    worker.join()


def test_who_was_stopped_while_it_looked_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vatrack.common.gpus.CHOOSING", 0.1)
    first, second = visible_gpus()
    first.lock.parent.mkdir()
    with first.lock.open("a") as file, try_locked(file) as mine, hold([first, second]):
        assert mine
        with second.lock.open("a") as other, try_locked(other) as free:
            assert not free  # the next one is held all the same


def test_without_a_folder_for_locks_each_takes_its_number(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        (tmp_path / "file").touch()
        patch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
        assert [names(stack, first=first) for first in (0, 1)] == [["0"], ["1"]]


def test_no_gpus_are_no_claim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with ExitStack() as stack:
        assert names(stack) == []
    assert not list(tmp_path.iterdir())
