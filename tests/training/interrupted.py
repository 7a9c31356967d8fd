"""Trainings in processes of their own that can be killed; a server that has PyTorch loaded already
starts them in no time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tests.conftest import TinyData, tiny_config
from vatrack.common import logs
from vatrack.common.files import read_json
from vatrack.config import Backbone, Method, RunConfig
from vatrack.training import loop
from vatrack.weights.checkpoint import load

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["tests.training.interrupted", "torchvision.ops", "vatrack.training.loop"]
)
TIMES = {"seconds_per_iteration", "time"}
SHORT: dict[str, Any] = {
    "epochs": 3,
    "validate_from": 1,
    "batch_size": 2,
    "log_every": 3,
    "ema_decay": 0.9,
    "optimizer": {"name": "sgd", "learning_rate": 0.005, "clip_norm": 5.0},
    "random_start": True,
}


def short_run(folder: Path, *, frozen_stages: int = 4, **given: object) -> RunConfig:
    """Three epochs, each with a validation, in some seconds: if not told otherwise, the heads alone
    are trained, so steps are quick and states small."""
    config = tiny_config(folder, **SHORT | given)
    model = config.model.model_copy(update={"frozen_stages": frozen_stages})
    return config.model_copy(update={"model": model}).for_run(Method.VATRACK, Backbone.RESNET18)


def _work(
    run: RunConfig,
    data: TinyData,
    out: Path,
    prepare: Callable[..., None] | None,
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell in the background ignores it, and so would its children
    multiprocessing.set_start_method(
        "fork", force=True
    )  # as a program does; workers would come from the server
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    log = (out.parent / f"{out.name}.log").open("a")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    logs.configure()
    if prepare:
        prepare(*arguments)
    loop.train(run, data.annotations, data.images, out)


def start(
    run: RunConfig,
    data: TinyData,
    out: Path,
    prepare: Callable[..., None] | None = None,
    *arguments: Any,
) -> BaseProcess:
    """Starts or continues a training; `prepare` is called in its process first."""
    process = SERVER.Process(target=_work, args=(run, data, out, prepare, arguments))
    process.start()
    return process


def finish(run: RunConfig, data: TinyData, out: Path) -> None:
    """Lets a training go on to its end."""
    process = start(run, data, out)
    process.join(300)
    log = (out.parent / f"{out.name}.log").read_text()
    assert process.exitcode == 0, log


def wait_for(
    condition: Callable[[], bool], process: BaseProcess | None = None, seconds: float = 120
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        assert process is None or process.is_alive(), "it ended before"
        time.sleep(0.01)


def lines(out: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock and on the machine's load."""
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [
        {
            name: value
            for name, value in line.items()
            if name not in TIMES and not name.startswith("system/")
        }
        for line in found
    ]


def differences(first: Path, second: Path) -> list[str]:
    """What two runs' folders differ in, bit by bit, but for times."""
    found = []
    names = [
        sorted(path.relative_to(run).as_posix() for path in run.glob("*/epoch_*"))
        for run in (first, second)
    ]
    if names[0] != names[1]:
        return [f"files {names[0]} and {names[1]}"]
    if lines(first) != lines(second):
        found.append("metrics.jsonl")
    for name in names[0]:
        if name.endswith(".json"):
            same = read_json(first / name) == read_json(second / name)
        else:
            one, two = load(first / name), load(second / name)
            same = (one.epoch, one.weights.keys()) == (two.epoch, two.weights.keys()) and all(
                torch.equal(value, two.weights[key]) for key, value in one.weights.items()
            )
        if not same:
            found.append(name)
    for run in (first, second):
        with suppress(FileNotFoundError):
            left = [path.name for path in (run / "state").iterdir()]
            found.append(f"{run}/state still holds {left}")
    return found
