"""The configuration as frozen, typed models. The JSON schema that the workflow checks with is
generated from here.

`Config` is what a person writes (one YAML file for a set of runs). Values that the paper chooses by
method or backbone may be given once or as a mapping; `Config.for_run` picks them for one run and
returns the `RunConfig` that the run's folder keeps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from vatrack.common.errors import InputError
from vatrack.common.files import read_yaml
from vatrack.config.base import Frozen
from vatrack.config.compute import ComputeConfig, InputConfig
from vatrack.config.dataset import DatasetConfig
from vatrack.config.inference import EvaluationConfig, InferenceConfig, TrackerConfig
from vatrack.config.methods import Backbone, Method
from vatrack.config.model import PAPER_CLASS_WEIGHTS, ModelConfig, ProposalConfig, SamplerConfig
from vatrack.config.training import (
    LauncherConfig,
    MlflowConfig,
    ScheduleConfig,
    SelectionConfig,
    TrainingConfig,
)

__all__ = [
    "PAPER_CLASS_WEIGHTS",
    "Backbone",
    "ComputeConfig",
    "Config",
    "EvaluationConfig",
    "InferenceConfig",
    "InputConfig",
    "LauncherConfig",
    "Method",
    "ModelConfig",
    "ProposalConfig",
    "RunConfig",
    "SamplerConfig",
    "ScheduleConfig",
    "SelectionConfig",
    "TrackerConfig",
    "json_schema",
    "load_config",
    "load_run_config",
    "parse_config",
]


# Of `training`: they decide how the work is done, kept or logged.
TECHNICAL_KEYS = ("faults", "save_minutes", "keep_checkpoints", "log_every")
START_FILES = (
    "initial_checkpoint",
    "backbone_weights",
)  # of `training`: files of weights that it starts from


class _Shared(Frozen):
    """The sections that a set of runs and a single run have in common."""

    results: Path = Field(Path("results"), description="folder for everything that is made")
    seed: int = Field(0, ge=0, description="the one seed of all randomness")
    dataset: DatasetConfig = DatasetConfig()  # type: ignore[call-arg]
    input: InputConfig = InputConfig()  # type: ignore[call-arg]
    model: ModelConfig = ModelConfig()  # type: ignore[call-arg]
    compute: ComputeConfig = ComputeConfig()  # type: ignore[call-arg]
    training: TrainingConfig = TrainingConfig()  # type: ignore[call-arg]
    inference: InferenceConfig = InferenceConfig()  # type: ignore[call-arg]
    evaluation: EvaluationConfig = EvaluationConfig()  # type: ignore[call-arg]
    selection: SelectionConfig = SelectionConfig()  # type: ignore[call-arg]
    launcher: LauncherConfig = LauncherConfig()  # type: ignore[call-arg]
    mlflow: MlflowConfig = MlflowConfig()  # type: ignore[call-arg]


class RunConfig(_Shared):
    """Everything that defines one run; values by method or backbone are resolved to one."""

    method: Method
    backbone: Backbone

    @property
    def name(self) -> str:
        return f"{self.method}__{self.backbone}"

    def recipe(self) -> dict[str, Any]:
        """What the trained weights depend on, as plain values: not how the work is done, kept or
        logged."""
        values = self.model_dump(
            mode="json", include={"method", "backbone", "seed", "input", "model", "training"}
        )
        for key in TECHNICAL_KEYS:
            del values["training"][key]
        return values


class Config(_Shared):
    """What a config file holds."""

    methods: tuple[Method, ...] = Field(
        (Method.VATRACK,), min_length=1, description="which methods are trained and compared"
    )
    backbones: tuple[Backbone, ...] = Field(
        (Backbone.RESNET18,), min_length=1, description="each method with each of these"
    )

    def for_run(self, method: Method, backbone: Backbone) -> RunConfig:
        """The configuration of one run.

        Raises:
            InputError: a mapping by method or backbone has no value for this run.
        """
        values = self.model_dump(exclude={"methods", "backbones"})
        training = values["training"]
        training["batch_size"] = _pick(training["batch_size"], backbone, "training.batch_size")
        optimizer, schedule = training["optimizer"], training["schedule"]
        optimizer["learning_rate"] = _pick(
            optimizer["learning_rate"], backbone, "training.optimizer.learning_rate"
        )
        schedule["warmup_iterations"] = _pick(
            schedule["warmup_iterations"], method, "training.schedule.warmup_iterations"
        )
        return RunConfig(**values, method=method, backbone=backbone)


T = TypeVar("T", bound="Frozen")


def _pick(value: Any, key: str, name: str) -> Any:
    if not isinstance(value, dict):
        return value
    if key not in value:
        raise InputError(f"config: {name} has no value for {key}; add one, or give a single value")
    return value[key]


def parse_config(values: Any, source: str, kind: type[T]) -> T:
    """Checks plain values against a model; `source` names them in the message.

    Raises:
        InputError: an unknown key or a bad value, each named with its place.
    """
    try:
        return kind.model_validate(values or {})
    except ValidationError as error:
        lines = [f"{source}: the configuration is not valid:"]
        for item in error.errors():
            place = ".".join(str(part) for part in item["loc"])
            message = (
                "unknown key; remove it or see docs/config.md"
                if item["type"] == "extra_forbidden"
                else item["msg"]
            )
            lines.append(f"  {place or '(top)'}: {message}")
        raise InputError("\n".join(lines)) from None


def load_config(path: Path | str) -> Config:
    """Reads a config file (see `Config`)."""
    return parse_config(read_yaml(path), str(path), Config)


def load_run_config(path: Path | str) -> RunConfig:
    """Reads the resolved config of a run's folder."""
    return parse_config(read_yaml(path), str(path), RunConfig)


def json_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of `Config`, as committed in
    workflow/schemas/config.schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
