"""What all sections of the config are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vatrack.common.paths import from_home

Fraction = Annotated[float, Field(ge=0, le=1)]
Similarity = Annotated[float, Field(ge=-1, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Steps = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=32)]


class Frozen(BaseModel):
    """A section of the config: unknown keys and infinite numbers are refused, values cannot
    change. A path that begins with ~ is below the home folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _from_home(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cls._from_home(inner) for key, inner in value.items()}
        return from_home(value) if isinstance(value, Path) else value
