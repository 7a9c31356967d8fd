"""metrics.jsonl of a run, its lines on the console and its entry in MLflow."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vatrack.common.errors import InputError
from vatrack.config import RunConfig
from vatrack.experiments.log import ExperimentLog
from vatrack.runs.folder import RunFolder
from vatrack.runs.metrics_log import TrainingPoint, ValidationPoint, append


class RunLog:
    """Collects the terms of steps and writes their means every `training.log_every` steps.

    Args:
        out: the run's folder, with config.yaml and environment.json.
        device: of the terms.
        writes: whether this process writes; the others only count.
        state: of an interrupted training, from `state`; None: the log begins anew.

    Raises:
        InputError: see `load_state`.
    """

    def __init__(
        self,
        run: RunConfig,
        out: Path,
        device: torch.device,
        *,
        writes: bool,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.every, self.total_epochs, self.writes = (
            run.training.log_every,
            run.training.epochs,
            writes,
        )
        self.path, self.device = RunFolder(out).metrics_log, device
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._since = time.monotonic()
        if state is not None:
            self.load_state(state)
        elif writes:
            self.path.unlink(missing_ok=True)
        self.experiment = (
            ExperimentLog.start(run, out, resume=state is not None) if writes else ExperimentLog()
        )

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What only interrupts a training (a signal, a full queue of the cluster) does not end its
        # entry as failed.
        ended = (
            "FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        )
        self.experiment.close(ended)

    def step(
        self, iteration: int, epoch: int, rate: float, losses: Mapping[str, Tensor], *, last: bool
    ) -> None:
        """Counts a step; after `log_every` steps, and at the end of an epoch, the means since the
        last line are written.

        Args:
            iteration, epoch: 1-based; `last`: the epoch ends here.
        """
        self._sums = {name: value + self._sums.get(name, 0) for name, value in losses.items()}
        self._count += 1
        if self._count >= self.every or last:
            self.flush(iteration, epoch, rate)

    def flush(self, iteration: int, epoch: int, rate: float) -> None:
        """Writes the means of what was collected since the last line, if anything was."""
        if not self._count:
            return
        means = {name: _number(float(value) / self._count) for name, value in self._sums.items()}
        now = time.monotonic()
        means["seconds_per_iteration"] = round((now - self._since) / self._count, 4)
        self._sums, self._count, self._since = {}, 0, now
        terms = {"lr": rate, **means}
        self._write(TrainingPoint(iteration, epoch, round(time.time(), 3), terms))
        self._tell(
            f"epoch {epoch}/{self.total_epochs} iteration {iteration} loss {means['loss']:.3f} lr "
            f"{rate:.2e} "
            f"{means['seconds_per_iteration']:.2f} s/it"
        )

    def validation(self, iteration: int, epoch: int, metrics: dict[str, Any]) -> None:
        """Writes the metrics of the valid set."""
        self._write(ValidationPoint(epoch, iteration, round(time.time(), 3), metrics))
        shown = ", ".join(
            f"{name} {metrics[name]:.1f}"
            for name in metrics
            if name.endswith("/AP50") and metrics[name] is not None
        )
        self._tell(f"epoch {epoch}/{self.total_epochs} validation {shown}")
        self._since = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Where the log stands. What was written so far is on the disk when this returns."""
        size = 0
        if self.path.exists():
            with self.path.open("rb") as stream:
                os.fsync(stream.fileno())
                size = os.fstat(stream.fileno()).st_size
        return {
            "bytes": size,
            "sums": self._sums,
            "count": self._count,
            "seconds": time.monotonic() - self._since,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes back to where the log stood; lines that came later are written again by the steps
        that are repeated.

        Raises:
            InputError: lines that were there are gone.
        """
        self._sums = {name: value.to(self.device) for name, value in state["sums"].items()}
        self._count = state["count"]
        self._since = time.monotonic() - state["seconds"]
        if not self.writes:
            return
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < state["bytes"]:
            raise InputError(
                f"{self.path}: {size} bytes, but {state['bytes']} were written before the training "
                f"was interrupted; "
                "bring the file back, or remove state/ beside it to train from the start"
            )
        if state["bytes"] < size:
            os.truncate(self.path, state["bytes"])

    def _tell(self, line: str) -> None:
        if self.writes:
            print(line, flush=True)

    def _write(self, point: TrainingPoint | ValidationPoint) -> None:
        if self.writes:
            append(self.path, point)


def _number(value: float) -> float | None:
    """Rounded; None where it is not finite, as the gradient's norm while the scale of float16 is
    too high."""
    return round(value, 6) if math.isfinite(value) else None
