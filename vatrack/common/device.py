"""Which device computes, and how exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vatrack.common.errors import InputError

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """ "auto" is the first GPU where there is one, else the CPU.

    Raises:
        InputError: a GPU is asked for and there is none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "config: training.device is cuda, but PyTorch finds no GPU here; set it to auto or cpu"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def allow_tf32(allowed: bool) -> None:
    """Whether a GPU may round the factors of convolutions and matrix products to TF32; by default
    PyTorch lets it partly."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
