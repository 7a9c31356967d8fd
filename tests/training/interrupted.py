"""Trainings in processes of their own that can be killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tests.conftest import TinyData, tiny_config
from tests.server import SERVER, be_a_program, trunks
from vatrack.common import logs
from vatrack.common.value_files import read_json
from vatrack.config import Backbone, Method, RunConfig
from vatrack.training import loop
from vatrack.training.step import Updater
from vatrack.weights.checkpoint import load

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
    builders: dict[str, Any],
) -> None:
    log = out.parent / f"{out.name}.log"
    be_a_program(log, log, builders)
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
    """Starts or continues a training with the trunk of this process; `prepare` is called in its
    process first."""
    process = SERVER.Process(target=_work, args=(run, data, out, prepare, arguments, trunks()))
    process.start()
    return process


def finish(run: RunConfig, data: TinyData, out: Path) -> None:
    """Lets a training go on to its end."""
    process = start(run, data, out)
    process.join(300)
    log = (out.parent / f"{out.name}.log").read_text()
    assert process.exitcode == 0, log


def slowly() -> None:
    """For `start`: a pause after each step, so that there is time to kill it between two."""
    step = Updater.step

    def paused(self: Updater, *arguments: Any) -> dict[str, torch.Tensor]:
        terms = step(self, *arguments)
        time.sleep(0.1)
        return terms

    Updater.step = paused  # type: ignore[method-assign, assignment]


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
