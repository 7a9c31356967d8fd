"""Processes that start in milliseconds: a server that has PyTorch, MLflow and Snakemake loaded
forks them.

A test process has one server, which begins with its first process, so all that is loaded is named
here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

REPOSITORY = Path(__file__).parents[1]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "torchvision.ops",
        "vatrack.training.loop",
        "tests.fuzz.run",
        "tests.training.interrupted",
        "tests.experiments.experiments",
        "mlflow.store.tracking.sqlalchemy_store",
        "snakemake.cli",
    ]
)


class _Workers(multiprocessing.context.ForkServerContext):
    """In place of the context of `vatrack.common.parallel`, whose processes load PyTorch anew."""

    def Process(  # type: ignore[override]
        self, *, target: Callable[..., None], args: tuple[Any, ...] = ()
    ) -> BaseProcess:
        return SERVER.Process(target=_worker, args=(trunks(), target, args))


WORKERS = _Workers()


def _worker(
    builders: dict[str, Any], target: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    """A worker, whose parent is the server here: it ends with the pipe to who started it."""
    _use(builders)
    with patch("vatrack.common.parallel.end_with_parent"):
        target(*arguments)


def use_this_server() -> None:
    """For a process of the server that forks others: they use it, too. (Python's own check waits
    for the server, which is no child of theirs, or starts another.)"""
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]


def trunks() -> dict[str, Any]:
    """Those of this process, for `be_a_program` (see `narrow_trunk` in tests/conftest.py); none
    where no network is loaded: PyTorch cannot be loaded while `vatrack.common.parallel` starts a
    process."""
    loaded = sys.modules.get("vatrack.models.backbone")
    return {str(each): builder for each, builder in loaded.BUILDERS.items()} if loaded else {}


def _use(builders: dict[str, Any]) -> None:
    if not builders:
        return
    from vatrack.config import Backbone
    from vatrack.models.backbone import BUILDERS

    BUILDERS.update({Backbone(name): builder for name, builder in builders.items()})


def be_a_program(output: Path, errors: Path, builders: dict[str, Any]) -> None:
    """What a program of its own would have: signals, threads, start of processes, output."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # As a program does; workers would come from the server.
    multiprocessing.set_start_method("fork", force=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    _use(builders)
    torch.set_num_threads(1)
    write_to(output, errors)


def write_to(output: Path, errors: Path) -> None:
    """What this process shows goes to two files."""
    for number, path in ((1, output), (2, errors)):
        with path.open("a") as stream:
            os.dup2(stream.fileno(), number)


def _command(
    words: list[str],
    environment: dict[str, str],
    output: Path,
    errors: Path,
    builders: dict[str, Any],
) -> None:
    os.setsid()
    os.environ.update(environment)
    be_a_program(output, errors, builders)
    sys.argv = ["vatrack", *words]
    from vatrack.cli import main

    main()


def start_command(
    words: list[str], environment: dict[str, str], output: Path, errors: Path
) -> BaseProcess:
    """`vatrack WORDS` in a session of its own, with more variables; files get what it shows."""
    process = SERVER.Process(target=_command, args=(words, environment, output, errors, trunks()))
    process.start()
    return process


def _program(words: list[str], environment: dict[str, str], output: Path, errors: Path) -> None:
    os.setsid()
    write_to(output, errors)
    variables = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"} | environment
    os.execve(
        sys.executable, [sys.executable, "-m", "tests.narrow", *words], os.environ | variables
    )


def start_program(
    words: list[str], environment: dict[str, str], output: Path, errors: Path
) -> BaseProcess:
    """`start_command` as a program of its own, with narrow trunks: slow, but nothing is loaded when
    it starts."""
    process = SERVER.Process(target=_program, args=(words, environment, output, errors))
    process.start()
    return process
