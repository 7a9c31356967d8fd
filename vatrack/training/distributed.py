"""Several processes that train one network together, each on its shard of every batch.

`torchrun` and submitit name the processes through the environment: WORLD_SIZE, RANK, LOCAL_RANK,
MASTER_ADDR, MASTER_PORT.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from vatrack.common.counted import counted
from vatrack.common.device import choose_device, is_numbered
from vatrack.common.errors import ConfigError, InputError
from vatrack.common.logs import warnings_only
from vatrack.common.signals import fail_at_exit
from vatrack.common.structures import at_least_one

# One process may evaluate a whole dataset while the others wait. A process that dies is noticed by
# what started them.
TIMEOUT = timedelta(hours=4)
MEETING = timedelta(minutes=10)  # until all are there
# The variables that name a process, with MASTER_ADDR.
NUMBERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT")

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together; alone, everything here is free.

    Every process must call the same methods in the same order.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    def divisor(self, count: int | Tensor) -> float | Tensor:
        """The sum of all processes' counts, at least 1, divided by the number of processes.

        See `BatchShare.divisor`.
        """
        if self.count == 1:
            return at_least_one(count)
        total = torch.as_tensor(count, dtype=torch.float32, device=self.device)
        dist.all_reduce(total)
        return total.clamp(min=1) / self.count

    def highest(self, values: Sequence[float] | Tensor) -> list[float]:
        """Of each value the highest one of all processes; a tensor of them is read once."""
        if self.count == 1 and not isinstance(values, Tensor):
            return list(values)
        together = torch.as_tensor(values, dtype=torch.float64, device=self.device)
        if self.count > 1:
            dist.all_reduce(together, dist.ReduceOp.MAX)
        return together.tolist()

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean of each value over the processes, which have the same names."""
        if self.count == 1:
            return dict(values)
        together = torch.stack([value.float() for value in values.values()])
        dist.all_reduce(together)
        return dict(zip(values, together / self.count, strict=True))

    def gather(self, value: T) -> list[T]:
        """Plain values of all processes, in their order."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Returns when all processes have come here."""
        if self.count > 1:
            dist.barrier()

    def share(self, total: int, key: str) -> slice:
        """This process's shard of so many things; `key`: the setting that says how many.

        Raises:
            InputError: they cannot be divided equally.
        """
        if total % self.count:
            raise ConfigError(
                key,
                f"is {total}, which cannot be divided among {counted(self.count, 'process')}; "
                "choose a multiple",
            )
        each = total // self.count
        return slice(self.rank * each, (self.rank + 1) * each)


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Joins the other processes where the environment names any.

    Args:
        device: `compute.device` of the config; each process takes the GPU of its number on its
            machine.

    Raises:
        InputError: the device is not here, or is a single GPU for several processes.
    """
    named = _named()
    chosen = choose_device(device)
    if named["WORLD_SIZE"] == 1:
        if chosen.index is not None:
            torch.cuda.set_device(chosen)
        yield Processes(chosen)
        return
    if is_numbered(device):
        raise ConfigError(
            "compute.device",
            f"is {device}, but each of {counted(named['WORLD_SIZE'], 'process')} takes a GPU of "
            "its own; set it to cuda",
        )
    if chosen.type == "cuda":
        # Where the launcher shows each process its own GPU alone, that one has number 0.
        chosen = torch.device("cuda", named["LOCAL_RANK"] % torch.cuda.device_count())
        torch.cuda.set_device(chosen)
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    try:
        store, rank, count = next(rendezvous("env://", timeout=MEETING))
    except dist.DistError as problem:
        where = f"{os.environ['MASTER_ADDR']}:{named['MASTER_PORT']}"
        raise TimeoutError(
            f"the {counted(int(named['WORLD_SIZE']), 'process')} could not connect at {where}; "
            f"check their logs ({problem})"
        ) from None
    gpu = chosen if chosen.type == "cuda" else None
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT, device_id=gpu
    )
    try:
        with warnings_only() if rank else nullcontext():
            yield Processes(chosen, rank, count)
    except BaseException:
        # NCCL would wait for the others here, which wait for this one in a step.
        if backend == "nccl":
            fail_at_exit()
        else:
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _named() -> dict[str, int]:
    """The numbers by which the environment names this process.

    Raises:
        InputError: one of them is missing or impossible.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return {"WORLD_SIZE": 1}
    fix = "start the processes with torchrun or `vatrack launch`, or unset WORLD_SIZE"
    missing = [name for name in (*NUMBERS, "MASTER_ADDR") if name not in os.environ]
    if missing:
        raise InputError(f"environment: WORLD_SIZE is set, but not {', '.join(missing)}; {fix}")
    numbers = {}
    for name in NUMBERS:
        try:
            numbers[name] = int(os.environ[name])
        except ValueError:
            raise InputError(
                f"environment: {name} is {os.environ[name]!r}, not a number; {fix}"
            ) from None
    if not 0 <= numbers["RANK"] < numbers["WORLD_SIZE"]:
        raise InputError(
            f"environment: RANK is {numbers['RANK']}, but WORLD_SIZE {numbers['WORLD_SIZE']}; {fix}"
        )
    return numbers
