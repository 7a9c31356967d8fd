"""How long a training step takes beside processes that keep a core busy, and what waiting threads
do about it: OpenMP's default, or the limit of `vatrack.common.openmp`.

    python -m benchmarks.busy

Both ways work in turns, each in a process of its own with two threads, beside none, one and two
busy processes. Seconds are those on the clock, because waiting is what is measured; the median of
all rounds but the first counts. The table goes to benchmarks/results/busy.json, and from there to
docs/performance.md (`python -m benchmarks --page`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from unittest.mock import patch

import typer

from benchmarks.measure import SIZES, Watch, load
from benchmarks.table import RESULTS, busy_rows
from vatrack.common.allocator import keep_memory
from vatrack.common.files import write_json
from vatrack.common.openmp import SPINS

CONTEXT = get_context("spawn")  # OpenMP reads its settings when a process loads it
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
# What the environment says of each way; the first one is OpenMP's default.
WAYS: dict[str, dict[str, str]] = {"default": {}, "limited": {"GOMP_SPINCOUNT": str(SPINS)}}
BUSY = (0, 1, 2)
THREADS = 2


def measured(size: str, rounds: int, threads: int = THREADS) -> list[dict[str, Any]]:
    """Seconds of a step by way and number of busy processes.

    `ratio`: how many times as long as in the default way without busy processes.
    """
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        ways = {way: stack.enter_context(_steps(way, size, threads)) for way in WAYS}
        for count in BUSY:
            found: dict[str, list[float]] = {way: [] for way in WAYS}
            with _busy(count):
                for _ in range(rounds + 1):
                    for way, connection in ways.items():
                        connection.send("step")
                        found[way].append(connection.recv())
            for way, seconds in found.items():
                rows.append({"busy": count, "way": way, "seconds": median(seconds[1:])})
    return [row | {"ratio": row["seconds"] / rows[0]["seconds"]} for row in rows]


@contextmanager
def _steps(way: str, size: str, threads: int) -> Iterator[Connection]:
    """A process that does a step for every word that it gets, and answers with its seconds."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_serve, args=(there, size, threads), daemon=True)
    with patch.dict(os.environ, WAYS[way]):
        for name in VARIABLES:
            if name not in WAYS[way]:
                os.environ.pop(name, None)
        process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join(10)
        process.kill()


def _serve(connection: Connection, size: str, threads: int) -> None:
    keep_memory()  # as the command line does
    import torch

    torch.set_num_threads(threads)
    subject = load("training")
    work = subject.prepare(subject.cases(size)[0], Path(), "float32")
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        start = time.perf_counter()
        work(Watch())
        connection.send(time.perf_counter() - start)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many processes that compute without a pause."""
    processes = [CONTEXT.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _spin() -> None:
    while True:
        pass


def result(size: str, rounds: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is written."""
    from benchmarks.machine import describe  # here: it loads PyTorch

    return {
        "name": "busy",
        "size": size,
        "rounds": rounds,
        "threads": THREADS,
        "machine": describe(rates=False),
        "rows": list(rows),
    }


def main(
    full: Annotated[bool, typer.Option("--full", help="Real sizes, 1280 x 800.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="The median of so many steps.")] = 3,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = RESULTS / "busy.json",
) -> None:
    """Measure a training step beside busy processes."""
    size = SIZES[2] if full else SIZES[1]
    found = result(size, rounds, measured(size, rounds))
    typer.echo("\n".join(busy_rows(found["rows"])))
    write_json(out, found, indent=1)


if __name__ == "__main__":
    typer.run(main)
