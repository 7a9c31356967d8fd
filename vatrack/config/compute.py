"""How the network computes, and what it takes in: the same for training and inference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from vatrack.common.device import DEVICE, check_device
from vatrack.common.errors import InputError
from vatrack.config.base import Frozen, Side


def _check_device(name: str) -> str:
    try:
        return check_device(name)
    except InputError as error:
        raise ValueError(str(error)) from None


Device = Annotated[
    str, AfterValidator(_check_device), WithJsonSchema({"type": "string", "pattern": DEVICE})
]


class InputConfig(Frozen):
    """Input of the network (spec 2.4, 2.6)."""

    image_scale: tuple[Side, Side] = Field(
        (1280, 800), description="maximum width and height of the network input in pixels"
    )


class ComputeConfig(Frozen):
    """How training and inference compute. Changes do not repeat a complete training."""

    device: Device = Field(
        "auto",
        description="auto (the first GPU, or the CPU if there is none), cpu, cuda, or one of "
        "several GPUs: cuda:1 is the second (for one process, and not in jobs of the launcher)",
    )
    precision: Literal["float32", "bfloat16", "float16", "mixed"] = Field(
        "float32",
        description="number format of the network; bfloat16 and float16 use automatic mixed "
        "precision; mixed: bfloat16, or float16 on GPUs without it",
    )
    tf32: bool = Field(
        False,
        description="use TF32 on GPUs: faster, but results deviate 10 to 100 times more from the "
        "published ones",
    )
    winograd: bool = Field(
        True,
        description="use Winograd's algorithm for 3x3 float32 convolutions on a CPU, and oneDNN "
        "for matrix products where it is faster: up to twice as fast, but rounding errors of the "
        "convolutions are larger (3e-6 to 7e-6 of their standard deviation)",
    )
    channels_last: bool = Field(
        False,
        description="channels-last memory layout in training; often faster, same result "
        "(prediction chooses its own layout)",
    )
    compile: bool = Field(
        False,
        description="compile backbone and feature pyramid in training (takes minutes at the start, "
        "then faster on a GPU)",
    )
    batch_frames: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto",
        description="frames per forward pass in prediction; auto: 4 on a GPU, 1 on a CPU (more "
        "would not help)",
    )
    mask_workers: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="processes that paste and encode predicted masks; 0 or 1: none besides the "
        "predicting process; auto: half the cores (at most 8) with a GPU, else 0",
    )
    workers: int = Field(
        4, ge=0, description="data-loading processes; 0: load in the training process"
    )
    loader_timeout_seconds: float = Field(
        600.0,
        gt=0,
        description="time limit in seconds for loading a batch or frame; training or prediction "
        "stops with an error after it",
    )
