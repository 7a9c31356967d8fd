"""Which device computes, and how exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.similar import unknown

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """ "auto" is the first GPU where there is one, else the CPU.

    Raises:
        InputError: a GPU is asked for that is not there, or the name is neither of a GPU nor of the
            CPU.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(unknown("device", name, ("auto", "cpu", "cuda", "cuda:1")))
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise InputError(
            f"the device (compute.device) is {name}, but PyTorch finds "
            f"{counted(gpus, 'GPU') if gpus else 'no GPU'} here; choose auto or cpu"
        )
    return device


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
