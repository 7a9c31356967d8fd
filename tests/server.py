"""Processes that start in milliseconds: a server that has PyTorch and MLflow loaded forks them.

A test process has one server, which begins with its first process, so all that is loaded is named
here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "torchvision.ops",
        "vatrack.training.loop",
        "tests.fuzz.run",
        "tests.training.interrupted",
        "tests.experiments.experiments",
        "mlflow.store.tracking.sqlalchemy_store",
    ]
)


def trunks() -> dict[str, Any]:
    """Those of this process, for `be_a_program` (see `narrow_trunk` in tests/conftest.py)."""
    from vatrack.models.backbone import BUILDERS

    return {str(backbone): builder for backbone, builder in BUILDERS.items()}


def be_a_program(output: Path, errors: Path, builders: dict[str, Any]) -> None:
    """What a program of its own would have: signals, threads, start of processes, output."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # As a program does; workers would come from the server.
    multiprocessing.set_start_method("fork", force=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from vatrack.config import Backbone
    from vatrack.models.backbone import BUILDERS

    BUILDERS.update({Backbone(name): builder for name, builder in builders.items()})
    torch.set_num_threads(1)
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
