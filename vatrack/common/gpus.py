"""Which GPU a process takes where others of the same user compute on this machine, too.

Each GPU has a lock file, which its processes hold (shared) while they use it, so that it is free
again when they are gone, however they ended.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from vatrack.common.locks import locked, patience, shared, try_locked

VISIBLE = "CUDA_VISIBLE_DEVICES"
JOB = "SLURM_JOB_ID"
# Seconds. Looking and choosing take milliseconds; who takes longer was stopped meanwhile.
CHOOSING = 5.0


@dataclass(frozen=True)
class Gpu:
    """One of the GPUs that this process sees."""

    index: int  # PyTorch's
    name: str  # as in CUDA_VISIBLE_DEVICES
    lock: Path


def visible_gpus() -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, or all."""
    import torch

    count = torch.cuda.device_count()
    given = os.environ.get(VISIBLE)
    names = [str(index) for index in range(count)] if given is None else given.split(",")
    names = [name.strip() for name in names[:count]]
    return [
        Gpu(index, name, _folder() / f"{quote(name, safe='')}.lock")
        for index, name in enumerate(names)
    ]


def _folder() -> Path:
    # SLURM may show each job its own GPUs under the same numbers.
    job = os.environ.get(JOB, "")
    return Path(tempfile.gettempdir()) / f"vatrack-gpus-{os.getuid()}{job and '-slurm-' + job}"


@contextmanager
def claimed(number: int, first: int = 0) -> Iterator[list[Gpu]]:
    """Holds so many GPUs, free ones before those that others hold; never waits for one.

    Args:
        first: the index of the one that is taken first, in turn, of the free ones and of others.
    """
    gpus = visible_gpus()
    if not gpus or (JOB in os.environ and len(gpus) <= number):  # SLURM has chosen
        yield gpus[:number]
        return
    start = first % len(gpus)
    gpus = gpus[start:] + gpus[:start]
    with ExitStack() as holds:
        with _alone():
            gpus = sorted(gpus, key=_is_taken)[:number]
            holds.enter_context(hold(gpus))
        yield gpus


@contextmanager
def hold(gpus: Iterable[Gpu]) -> Iterator[None]:
    """Holds these GPUs, beside others who may hold them."""
    with ExitStack() as holds:
        for gpu in gpus:
            try:
                file = holds.enter_context(gpu.lock.open("a"))
                holds.enter_context(shared(file, patience(CHOOSING, str(gpu.lock))))
            except OSError:  # no room for temporary files, or a TimeoutError: as if alone
                continue
        yield


@contextmanager
def _alone() -> Iterator[None]:
    """One process after the other chooses, so that nobody gets half of what two want."""
    with ExitStack() as stack:
        with suppress(OSError):  # a TimeoutError, too: as if alone
            _folder().mkdir(mode=0o700, exist_ok=True)
            file = stack.enter_context((_folder() / "choice.lock").open("a"))
            stack.enter_context(locked(file, patience(CHOOSING, "GPUs")))
        yield


def _is_taken(gpu: Gpu) -> bool:
    try:
        with gpu.lock.open("a") as file, try_locked(file) as mine:
            return not mine
    except OSError:
        return False
