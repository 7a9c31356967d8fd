"""Runs ways of doing one thing in turns, each in a process of its own, and compares them.

The first way of a case is the plain one. The processes of all ways are started at once and work one
after the other, round by round, so that a slow spell of the machine hits all of them. Counted are
processor seconds of one thread, which other work on the machine disturbs least (on a GPU: the time
between two CUDA events); of several rounds the median counts. A process of its own gives each way
its own peak memory and its own settings of the allocator.
"""

from __future__ import annotations

import importlib
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from vatrack.common.allocator import keep_memory

ALL = "all"  # the stage that is the whole round
SIZES = ("tiny", "small", "full")  # tiny: for tests
CUDA = "cuda"  # what ways on a GPU begin with
CONTEXT = get_context("spawn")  # a process has only what its way loads


class Watch:
    """Seconds of one round, by stage.

    Args:
        cuda: count what a GPU takes; else processor seconds of this process.
    """

    def __init__(self, *, cuda: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self.cuda = cuda

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds what is done inside to a stage."""
        end = self._start_on_gpu() if self.cuda else _start_here()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + end()

    def _start_on_gpu(self) -> Callable[[], float]:
        import torch

        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()

        def end() -> float:
            last.record()
            torch.cuda.synchronize()
            return float(first.elapsed_time(last)) / 1000

        return end


def _start_here() -> Callable[[], float]:
    start = time.process_time()
    return lambda: time.process_time() - start


# One round: does the work and returns numbers that all ways must agree on.
Work = Callable[[Watch], Sequence[float]]


@dataclass(frozen=True)
class Case:
    """What is done in one size.

    Attributes:
        units: how many frames, pairs, ... a round handles; times are given for one of them.
        ways: the plain way first.
        unchecked: ways whose numbers may differ from those of the plain way.
        data: cases of the same name here share their data.
        options: what `prepare` of the subject needs to know.
    """

    name: str
    units: float
    ways: tuple[str, ...]
    unchecked: tuple[str, ...] = ()
    data: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A benchmark.

    Attributes:
        about: what is measured; `unit`: what times are given for; `plain`: what the plain way is.
        cases: of a size; `make`: writes the data of a case into an empty folder.
        prepare: what a process does before the first round: the case, its folder, the way.
        tolerance: how far numbers of the ways may be apart, as a share of the larger one.
        gflop: arithmetic of one unit by stage, 10^9 operations.
        gpu: there are ways that need a GPU, and are left out without one.
    """

    about: str
    unit: str
    plain: str
    cases: Callable[[str], Sequence[Case]]
    prepare: Callable[[Case, Path, str], Work]
    make: Callable[[Case, Path], None] = lambda case, folder: None
    tolerance: float = 0.0
    gflop: Callable[[Case, Path], Mapping[str, float]] = lambda case, folder: {}
    gpu: bool = False


@dataclass(frozen=True)
class Row:
    """One line of a result: seconds for one unit, None where a stage is missing in one way.

    `ratio`: how many times as fast as the plain way; `peak_mb`: the largest memory of the process
    (on a GPU: of its tensors).
    """

    case: str
    way: str
    stage: str
    seconds: float
    ratio: float | None
    peak_mb: float
    gflop: float | None = None


def load(name: str) -> Subject:
    """The benchmark of a module of this package."""
    subject: Subject = importlib.import_module(f"benchmarks.{name}").SUBJECT
    return subject


def measure(name: str, case: Case, folder: Path, rounds: int, ways: Sequence[str]) -> list[Row]:
    """The rows of one case.

    Args:
        name: of the subject; `folder`: for the data of all its cases; `ways`: those that are
            wanted.

    Raises:
        AssertionError: two ways come to different numbers.
    """
    subject = load(name)
    folder = folder / (case.data or case.name)
    if not folder.exists():
        folder.mkdir()
        subject.make(case, folder)
    gflop = subject.gflop(case, folder)
    runners: dict[str, _Runner] = {}
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    numbers: dict[str, Sequence[float]] = {}
    try:
        for way in ways:
            runners[way] = _Runner(name, case, folder, way)
        for _ in range(rounds + 1):
            for way, runner in runners.items():
                seconds, result = runner.round()
                found[way].append(seconds)
                numbers.setdefault(way, result)
        peaks = {way: runner.peak() for way, runner in runners.items()}
    finally:
        for runner in runners.values():
            runner.end()
    check(case, numbers, subject.tolerance)
    # The first round finds caches empty and libraries unloaded, and is not counted.
    times = {way: _medians(rounds_[1:], case.units) for way, rounds_ in found.items()}
    return [
        Row(
            case.name,
            way,
            stage,
            seconds,
            _ratio(case, times, way, stage),
            peaks[way],
            gflop.get(stage),
        )
        for way, stages in times.items()
        for stage, seconds in stages.items()
    ]


def check(case: Case, numbers: Mapping[str, Sequence[float]], tolerance: float) -> None:
    """Whether all ways came to the same numbers."""
    ways = [way for way in case.ways if way in numbers and way not in case.unchecked]
    for way in ways[1:]:
        first, second = np.asarray(numbers[ways[0]], float), np.asarray(numbers[way], float)
        same = first.shape == second.shape and np.allclose(
            first, second, rtol=tolerance, atol=tolerance, equal_nan=True
        )
        assert same, f"{case.name}: {way} gives {second}, {ways[0]} gives {first}"


def _ratio(
    case: Case, times: Mapping[str, Mapping[str, float]], way: str, stage: str
) -> float | None:
    plain = plain_of(case.ways, way)
    if plain == way or stage not in times.get(plain, {}) or not times[way][stage]:
        return None
    return times[plain][stage] / times[way][stage]


def plain_of(ways: Sequence[str], way: str) -> str:
    """The way that another one is compared with: the first on the same device."""
    return next(other for other in ways if other.startswith(CUDA) == way.startswith(CUDA))


def _medians(rounds: Sequence[Mapping[str, float]], units: float) -> dict[str, float]:
    return {stage: median(one[stage] for one in rounds) / units for stage in rounds[0]}


class _Runner:
    """A process that does the rounds of one way when it is asked to."""

    def __init__(self, name: str, case: Case, folder: Path, way: str) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        self.connection, there = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(there, name, case, folder, way))
        self.process.start()
        there.close()

    def round(self) -> tuple[dict[str, float], Sequence[float]]:
        return self._ask("round")

    def peak(self) -> float:
        return self._ask("peak")

    def _ask(self, what: str) -> Any:
        self.connection.send(what)
        return self.connection.recv()

    def end(self) -> None:
        self.connection.close()
        self.process.join(10)
        self.process.kill()


def _serve(connection: Connection, name: str, case: Case, folder: Path, way: str) -> None:
    if not way.endswith("plain"):
        keep_memory()  # as the command line does
    work = load(name).prepare(case, folder, way)
    while True:
        try:
            asked = connection.recv()
        except EOFError:
            return
        connection.send(_peak(way) if asked == "peak" else _round(work, way))


def _round(work: Work, way: str) -> tuple[dict[str, float], list[float]]:
    watch = Watch(cuda=way.startswith(CUDA))
    with watch.stage(ALL):
        numbers = work(watch)
    return watch.seconds, [float(number) for number in numbers]


def _peak(way: str) -> float:
    if way.startswith(CUDA):
        import torch

        return torch.cuda.max_memory_allocated() / 1e6
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        # What getrusage says begins with the peak of the process that started this one.
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
