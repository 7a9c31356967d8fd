"""Which device computes, and how exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.similar import unknown

if TYPE_CHECKING:
    import torch

DEVICE = r"^(auto|cpu|cuda(:(0|[1-9][0-9]*))?)$"  # cuda:1 is the second GPU


def check_device(name: str) -> str:
    """The name of a device, whether it is here or not.

    Raises:
        InputError: it is neither "auto" nor the name of a GPU or the CPU.
    """
    if not re.fullmatch(DEVICE, name):
        raise InputError(unknown("device", name, ("auto", "cpu", "cuda", "cuda:1")))
    return name


def is_numbered(name: str) -> bool:
    """Whether the name of a device is that of a certain GPU, "cuda:1" for example."""
    return name.startswith("cuda:")


def choose_device(name: str) -> torch.device:
    """ "auto" is the first GPU where there is one, else the CPU.

    Raises:
        InputError: a GPU is asked for that is not there, or the name is neither of a GPU nor of the
            CPU.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, number = check_device(name).partition(":")
    if kind == "auto":
        return torch.device("cuda" if gpus else "cpu")
    if kind == "cuda" and int(number or 0) >= gpus:
        others = " or cpu" if gpus == 0 else f", cpu, or a GPU up to cuda:{gpus - 1}"
        raise InputError(
            f"the device (compute.device) is {name}, but PyTorch finds "
            f"{counted(gpus, 'GPU') if gpus else 'no GPU'} here; choose auto{others}"
        )
    return torch.device(name)


def allow_tf32(allowed: bool) -> None:
    """Whether a GPU may round the factors of convolutions and matrix products to TF32; by default
    PyTorch lets it partly."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def without_denormals() -> Iterator[None]:
    """Numbers below 1e-38 count as 0 on the processor, as on GPUs.

    Gradients are full of them where a norm's scale begins at 0, and in Winograd's transforms;
    processors calculate with them a hundred times slower.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def mixed_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The short type of mixed precision on a device, or None for float32."""
    import torch

    if precision == "mixed":
        short = device.type == "cuda" and not torch.cuda.is_bf16_supported(
            including_emulation=False
        )
        return torch.float16 if short else torch.bfloat16
    return {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Automatic mixed precision as `compute.precision` says; float32 changes nothing."""
    import torch

    short = mixed_type(precision, device)
    return nullcontext() if short is None else torch.autocast(device.type, short)
