"""What all sections of the config are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Similarity = Annotated[float, Field(ge=-1, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Steps = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=32)]


class Frozen(BaseModel):
    """A section of the config: unknown keys and infinite numbers are refused, values cannot
    change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
