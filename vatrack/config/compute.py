"""How the network computes, and what it takes in: the same for training and inference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vatrack.config.base import Frozen, Side


class InputConfig(Frozen):
    """What the network takes in (spec 2.4, 2.6)."""

    image_scale: tuple[Side, Side] = Field(
        (1280, 800), description="largest width and height of the network's input, pixels"
    )


class ComputeConfig(Frozen):
    """How training and inference compute; none of it makes a complete training run again."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: the first GPU where there is one, else the CPU"
    )
    precision: Literal["float32", "bfloat16", "float16", "mixed"] = Field(
        "float32",
        description="all but float32: automatic mixed precision; mixed: bfloat16, but float16 on "
        "GPUs that do not have it",
    )
    tf32: bool = Field(
        False,
        description="GPUs round float32 factors to TF32: faster, results 10 to 100 times further "
        "from the published ones",
    )
    channels_last: bool = Field(
        False, description="memory layout of the convolutions; often faster, same result"
    )
    compile: bool = Field(
        False, description="compile trunk and pyramid (minutes at the start, then faster on a GPU)"
    )
    batch_frames: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto",
        description="frames that prediction takes through the network at a time; auto: 4 on a GPU, "
        "1 on the CPU, where more bring nothing",
    )
    mask_workers: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="processes that draw and encode predicted masks; 0 or 1: the predicting "
        "process does; auto: half the cores, at most 8, with a GPU, else 0",
    )
    workers: int = Field(
        4, ge=0, description="processes that load data; 0: load in the training process"
    )
    loader_timeout_seconds: float = Field(
        600.0,
        gt=0,
        allow_inf_nan=False,
        description="how long a loading process may take for one batch or frame before it counts "
        "as hanging, and training or prediction ends",
    )
