"""The numbers of a training: metrics.jsonl, lines of progress, and whoever watches the folder."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from vatrack.common.counted import counted
from vatrack.common.errors import FolderLost, InputError
from vatrack.common.logs import IN_PLACE, clear_line
from vatrack.common.progress import time_left
from vatrack.config import RunConfig
from vatrack.evaluation.key_metrics import ON_TERMINALS
from vatrack.runs.folder import RunFolder
from vatrack.runs.metrics_log import TrainingPoint, ValidationPoint, append
from vatrack.training.distributed import Processes

logger = logging.getLogger(__name__)


class Copy(Protocol):
    """Copies a run elsewhere while it is trained, from what is in its folder."""

    def close(self, status: str) -> None:
        """The training ended: FINISHED, FAILED, or KILLED where it can be resumed."""


class StartCopy(Protocol):
    """Begins a copy, in the first process of a training; config.yaml is in the folder already.
    None: nothing is copied.

    It may neither raise nor take long, since the training waits for it.
    """

    def __call__(self, run: RunConfig, out: Path, resume: bool) -> Copy | None: ...


class RunLog:
    """Collects the terms of steps and writes their means every `training.log_every` steps.

    Args:
        folder: the run's, with config.yaml and environment.json.
        iterations: of the whole training.
        processes: the first one writes, the others only count.
        state: of an interrupted training, from `state`; None: the log begins anew.
        start_copy: begins to copy the run elsewhere.

    Raises:
        InputError: see `load_state`.
    """

    def __init__(
        self,
        run: RunConfig,
        folder: RunFolder,
        iterations: int,
        processes: Processes,
        state: Mapping[str, Any] | None = None,
        start_copy: StartCopy | None = None,
    ) -> None:
        self.every, self.total_epochs = run.training.log_every, run.training.epochs
        self.iterations = iterations
        self.path, self.device = folder.metrics_log, processes.device
        self.writes = processes.first
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._since = time.monotonic()
        self._speed = Speed()
        if state is not None:
            self.load_state(state)
        elif self.writes:
            self.path.unlink(missing_ok=True)
        self._copy: Copy | None = None
        if start_copy and self.writes:
            self._copy = start_copy(run, folder.path, resume=state is not None)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        clear_line()
        # What only interrupts a training (a signal, a full queue of the cluster) is no failure, nor
        # is it one where another process went on with it.
        failed = kind and issubclass(kind, Exception) and not issubclass(kind, FolderLost)
        if self._copy:
            self._copy.close("FINISHED" if kind is None else "FAILED" if failed else "KILLED")

    def step(
        self, iteration: int, epoch: int, rate: float, terms: Mapping[str, Tensor], *, last: bool
    ) -> None:
        """Counts a step; each `log_every` steps, and at the end of an epoch, writes the means.

        Args:
            iteration, epoch: 1-based.
            rate: learning rate.
            terms: scalars by name; "loss" is their sum.
            last: the epoch ends here.
        """
        self._sums = {name: value + self._sums.get(name, 0) for name, value in terms.items()}
        self._count += 1
        if self._count >= self.every or last:
            self.flush(iteration, epoch, rate)

    def flush(self, iteration: int, epoch: int, rate: float) -> None:
        """Writes the means of what was collected since the last line, if anything was."""
        if not self._count:
            return
        means = {name: _number(float(value) / self._count) for name, value in self._sums.items()}
        now = time.monotonic()
        means["seconds_per_iteration"] = seconds = round((now - self._since) / self._count, 4)
        self._speed.add(self._count, now - self._since)
        self._sums, self._count, self._since = {}, 0, now
        terms = {"lr": rate, **means}
        self._write(TrainingPoint(iteration, epoch, round(time.time(), 3), terms))
        logger.info(
            f"epoch {epoch}/{self.total_epochs}, iteration {iteration}/{self.iterations}, "
            f"{time_left(self._speed.seconds(self.iterations - iteration))}; "
            f"loss {means['loss']:.3f}, lr {rate:.2e}, {seconds:.2f} s/it",
            extra=IN_PLACE,
        )

    def validation(self, iteration: int, epoch: int, metrics: dict[str, Any]) -> None:
        """Writes the metrics of the valid set."""
        self._write(ValidationPoint(epoch, iteration, round(time.time(), 3), metrics))
        logger.info(f"epoch {epoch}/{self.total_epochs}, validation: {validation_text(metrics)}")
        self._since = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Where the log stands. What was written so far is on the disk when this returns."""
        return {
            "bytes": self._size(),
            "sums": self._sums,
            "count": self._count,
            "seconds": time.monotonic() - self._since,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes back to where the log stood; steps that are repeated write their lines again.

        Raises:
            InputError: lines that were there are gone.
        """
        self._sums = {name: value.to(self.device) for name, value in state["sums"].items()}
        self._count = state["count"]
        self._since = time.monotonic() - state["seconds"]
        if not self.writes:
            return
        size = self._size()
        if size < state["bytes"]:
            raise InputError(
                f"{self.path}: {counted(size, 'byte')}, but {state['bytes']} were written before "
                "the training was interrupted; restore the file, or remove state/ next to it to "
                "train from scratch"
            )
        if state["bytes"] < size:
            os.truncate(self.path, state["bytes"])

    def _size(self) -> int:
        """The bytes of the file, all of which are on the disk then.

        It is opened, because a network file system then asks its server: what it remembers of a
        file may be older than what another machine wrote.
        """
        try:
            with self.path.open("rb") as stream:
                os.fsync(stream.fileno())
                return os.fstat(stream.fileno()).st_size
        except FileNotFoundError:
            return 0

    def _write(self, point: TrainingPoint | ValidationPoint) -> None:
        if self.writes:
            append(self.path, point)


class Speed:
    """How long the steps that are left will take, by those that were done in this process."""

    def __init__(self) -> None:
        self._steps, self._seconds = 0.0, 0.0

    def add(self, steps: int, seconds: float) -> None:
        """Counts steps that were done; the first ones weigh less and less."""
        self._steps, self._seconds = 0.8 * self._steps + steps, 0.8 * self._seconds + seconds

    def seconds(self, steps: int) -> float:
        """For so many steps."""
        return self._seconds / self._steps * steps


def validation_text(metrics: Mapping[str, Any]) -> str:
    """The key metrics of a validation in one short line, by level: AP50 and HOTA.

    >>> validation_text({"image/amodal/AP50": 80.26, "image/visible/AP50": 82.4})
    'image AP50 80.3 amodal, 82.4 visible'
    """
    texts = []
    for metric in ON_TERMINALS:
        values = [
            f"{value:.1f} {mask_type}"
            for mask_type in metric.masks
            if (value := metrics.get(metric.key(mask_type))) is not None
        ]
        if values:
            texts.append(f"{metric.long} {', '.join(values)}")
    return "; ".join(texts) or "no metric is defined"


def _number(value: float) -> float | None:
    """Rounded; None where it is not finite, as a gradient's norm under too high a float16 scale."""
    return round(value, 6) if math.isfinite(value) else None
