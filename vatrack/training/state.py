"""The state that an interrupted training is resumed from, to the bit.

Two files in turn, of tensors and plain values only.
"""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vatrack.common.errors import InputError
from vatrack.common.numbers_in_names import numbered
from vatrack.common.paths import look_again
from vatrack.weights.checksum import refuse_broken_values
from vatrack.weights.formats import read_file, write_file

FORMAT = "vatrack-state-1"
KEPT_STATES = 2  # the last one and, should it be damaged, the one before
NAME = re.compile(r"state_(\d+)\.pt")


@dataclass(frozen=True)
class BatchIndex:
    """Which batch of a training: 0-based epoch, and batch of that epoch."""

    epoch: int
    batch: int


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        epoch, batch: of the next batch, both 0-based; batch is the number of batches where an epoch
            waits for its validation.
        skipped: [epoch, batch] of those that are left out for a fault.
        faults: how many there were.
        validations: epoch (1-based) and the value that the best checkpoint is chosen by.
        seconds: time so far.
        starts: how often it was begun or resumed.
    """

    epoch: int = 0
    batch: int = 0
    skipped: list[list[int]] = field(default_factory=list)
    faults: int = 0
    validations: dict[int, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    starts: int = 0

    @property
    def index(self) -> BatchIndex:
        """The next batch."""
        return BatchIndex(self.epoch, self.batch)

    def leaves_out(self, index: BatchIndex) -> bool:
        """Whether a batch is left out for a fault."""
        return [index.epoch, index.batch] in self.skipped


def save_state(folder: Path, content: Mapping[str, Any]) -> Path:
    """Writes a state, whole or not at all, and removes all but the one before it."""
    known = numbered(folder, NAME)
    path = folder / f"state_{known[-1][0] + 1 if known else 1:06d}.pt"
    write_file(path, {"format": FORMAT, **content})
    for _, old in known[: 1 - KEPT_STATES]:
        old.unlink(missing_ok=True)
    return path


def read_state(path: Path) -> dict[str, Any]:
    """The content of a state file, on the CPU; nothing in it is executed.

    Raises:
        InputError: it is cut off, has changed on the disk, is of another program, or has weights
            that are not finite.
        OSError: it cannot be read now; that says nothing about it.
    """
    content = read_file(path, "training state")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: not a training state (its format is not {FORMAT!r}); remove it")
    for name in ("model", "mean"):
        if isinstance(content.get(name), dict):
            refuse_broken_values(content[name], path)
    return content


def latest_state(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest state that can be read, None where there is none.

    A newer one that cannot be read gives a warning and gets another name, so that nobody resumes
    from it later.

    Raises:
        InputError: there are states, but none can be read, or one has vanished.
        OSError: see `read_state`.
    """
    look_again(folder)  # another machine may have saved the last state
    for leftover in folder.glob(".state_*"):  # what a killed process was writing
        leftover.unlink(missing_ok=True)
    damaged: list[tuple[Path, str]] = []
    for _, path in reversed(numbered(folder, NAME)):
        try:
            content = read_state(path)
        except InputError as error:
            if not path.exists():  # which says nothing about the others either
                raise InputError(
                    f"{path}: vanished while states were looked for, as if another training was "
                    "running in this folder; run again"
                ) from None
            damaged.append((path, str(error)))
            continue
        for other, what in damaged:
            warnings.warn(f"{what}; resuming from the previous state", stacklevel=2)
            other.rename(other.with_name(f"{other.name}.damaged"))
        return path, content
    if damaged:
        others = ", ".join(path.name for path, _ in damaged[1:])
        no_other = f"nor can {others} be read" if others else "there is no other state"
        raise InputError(f"{damaged[0][1]}; {no_other}: remove {folder} to train from scratch")
    return None


def random_state() -> dict[str, Any]:
    """The generators of Python, numpy and PyTorch as tensors and plain values."""
    name, words, *rest = np.random.get_state()  # noqa: NPY002 - libraries draw from the global one
    version, numbers, gauss = random.getstate()
    return {
        "python": [version, torch.tensor(numbers), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(words, np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Takes what `random_state` gave; of the states of GPUs as many as there are GPUs."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    name, words, *rest = state["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    for index, gpu in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
        torch.cuda.set_rng_state(gpu, index)
