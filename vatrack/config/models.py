"""The two whole configs: what a person writes, and what one run is made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from vatrack.common.errors import ConfigError
from vatrack.config.base import Frozen
from vatrack.config.class_weights import resolve_weights
from vatrack.config.classes import SAILVOS, ClassList, names_problem
from vatrack.config.compute import ComputeConfig, InputConfig
from vatrack.config.dataset import DatasetConfig
from vatrack.config.inference import EvaluationConfig, InferenceConfig, SelectionConfig
from vatrack.config.methods import Backbone, Method
from vatrack.config.model import ModelConfig
from vatrack.config.run_name import RunName, checked_label, with_seed
from vatrack.config.training import (
    LauncherConfig,
    MlflowConfig,
    RunTrainingConfig,
    TrainingConfig,
    start_names,
)

# Of `training`: they decide how the work is done, kept or logged.
TECHNICAL_KEYS = (
    "faults", "save_minutes", "keep_checkpoints", "log_every", "random_start", "weights_urls",
)  # fmt: skip
# Values that may be given once or as a mapping, and what their mapping goes by.
BY_RUN = {
    "training.batch_size": "backbone",
    "training.optimizer.learning_rate": "backbone",
    "training.schedule.warmup_iterations": "method",
}


class _Shared(Frozen):
    """The sections that a set of runs and a single run have in common."""

    results: Path = Field(Path("results"), description="output folder for all results")
    run_label: str = Field(
        "",
        description="name of a variant; the run folder is runs/<method>__<backbone>__<run_label>",
    )
    seed: int = Field(0, ge=0, description="random seed")
    dataset: DatasetConfig = Field(default_factory=DatasetConfig)
    input: InputConfig = Field(default_factory=InputConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    compute: ComputeConfig = Field(default_factory=ComputeConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    inference: InferenceConfig = Field(default_factory=InferenceConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    selection: SelectionConfig = Field(default_factory=SelectionConfig)
    launcher: LauncherConfig = Field(default_factory=LauncherConfig)
    mlflow: MlflowConfig = Field(default_factory=MlflowConfig)

    @field_validator("run_label", mode="before")
    @classmethod
    def _sound_label(cls, value: Any) -> Any:
        return checked_label(value)


class RunConfig(_Shared):
    """Everything that defines one run: each value by method or backbone is a single one.

    `Config.for_run` makes it; a run's folder and its checkpoints keep it.
    """

    training: RunTrainingConfig
    method: Method
    backbone: Backbone
    classes: tuple[str, ...] | None = Field(
        SAILVOS.names,
        description="class names in label order; null: taken from the training file, not known "
        "yet. Runs of older versions have SAIL-VOS's classes",
    )

    @model_validator(mode="after")
    def _has_metric(self) -> Self:
        self.selection.check((self.method,), extended=self.evaluation.extended)
        return self

    @field_validator("classes")
    @classmethod
    def _sound_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (problem := names_problem(value)):
            raise ValueError(problem)
        return value

    @property
    def class_list(self) -> ClassList:
        """The classes of the network.

        Raises:
            InputError: they come from the training file, which was not looked at.
        """
        if self.classes is None:
            raise ConfigError(
                "dataset.classes",
                "is data, but there is no training file or checkpoint to take the class names "
                "from; list the names instead",
            )
        return ClassList(self.classes)

    def with_classes(
        self, classes: ClassList, counts: Mapping[str, int] | None = None
    ) -> RunConfig:
        """The same run with these classes and their weights (`resolve_weights`).

        Raises:
            InputError: the config's weights are not for these classes.
        """
        weights = resolve_weights(self.model.class_weights, classes, counts)
        model = self.model.model_copy(update={"class_weights": weights})
        return self.model_copy(update={"classes": classes.names, "model": model})

    def to_predict(self, classes: ClassList) -> RunConfig:
        """The same run for a network of these classes that is not trained: weights play no part."""
        if self.classes == classes.names and not isinstance(self.model.class_weights, str):
            return self
        uniform = self.model.model_copy(update={"class_weights": "uniform"})
        return self.model_copy(update={"model": uniform}).with_classes(classes)

    def as_config(self) -> Config:
        """The config of a set of this one run."""
        values = self.model_dump(exclude={"method", "backbone", "classes"})
        known = self.dataset.class_list
        if self.classes is not None and (known is None or known.names != self.classes):
            values["dataset"]["classes"] = self.classes
        return Config.model_validate(
            values | {"methods": (self.method,), "backbones": (self.backbone,)}
        )

    @property
    def needs_pretrained(self) -> str:
        """The settings that make no sense for a backbone that starts at random; empty: none.

        Frozen stages would stay random for ever; statistics of batch norm are fixed, so that those
        of a random network are no statistics at all.
        """
        frozen, norm = self.model.frozen_stages, self.model.norm
        wants = (f"frozen_stages {frozen}" * (frozen > 0), "norm batch" * (norm == "batch"))
        return " and ".join(filter(None, wants))

    def check_start(self) -> None:
        """Refuses a training of a backbone that needs pretrained weights and has none.

        Raises:
            InputError: as described; the message says what to set.
        """
        if lack := self.lacks_pretrained:
            raise ConfigError("training.weights", f"{lack}; set {self.start_choices}")

    @property
    def lacks_pretrained(self) -> str:
        """Which pretrained weights are needed and missing, for messages; empty: none."""
        wants = self.needs_pretrained
        if not wants or self.training.weights or self.training.random_start:
            return ""
        verb = "need" if " and " in wants else "needs"
        return f"{wants} {verb} pretrained weights, but none are given for {self.backbone}"

    @property
    def start_choices(self) -> str:
        """What can be set where pretrained weights are missing, for messages."""
        return (
            f"training.weights: {{{self.backbone}: FILE}} (see docs/training.md for the files "
            "and their download), or model: {norm: group, frozen_stages: 0} to train from scratch, "
            "or training.random_start: true to train anyway"
        )

    @property
    def name(self) -> str:
        """Name of the run's folder, for example vatrack__resnet50 or vatrack__resnet50__e6."""
        return str(RunName(self.method, self.backbone, self.run_label))

    def recipe(self) -> dict[str, Any]:
        """What the trained weights depend on, as plain values.

        How the work is done, kept or logged is not in it.
        """
        values = self.model_dump(
            mode="json", include={"method", "backbone", "seed", "input", "model", "training"}
        )
        for key in TECHNICAL_KEYS:
            del values["training"][key]
        values["training"] |= start_names(values["training"].pop("weights"))
        # Not where it is SAIL-VOS's, so that trainings of older versions are still the same.
        if self.classes != SAILVOS.names:
            values["classes"] = self.classes
        return values


class Config(_Shared):
    """What a config file holds: the settings of a set of runs.

    Values that the paper chooses by method or backbone (`BY_RUN`) may be mappings.
    """

    methods: tuple[Method, ...] = Field(
        (Method.VATRACK,), min_length=1, description="methods to train and compare"
    )
    backbones: tuple[Backbone, ...] = Field(
        (Backbone.RESNET18,),
        min_length=1,
        description="backbones; every method is trained with each of them",
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        min_length=1,
        description="seeds; every method and backbone is trained with each of them, in runs "
        "labelled seed0, seed1, ... (after run_label); null: one run with `seed`",
    )
    mean_rows: bool = Field(
        True,
        description="add mean and standard deviation over seeds to the tables",
    )

    @model_validator(mode="after")
    def _has_metric(self) -> Self:
        self.selection.check(self.methods, extended=self.evaluation.extended)
        return self

    def runs(self) -> Iterator[RunConfig]:
        """The configurations of all runs, method by method.

        Raises:
            InputError: a mapping by method or backbone has no value for one of them.
        """
        for method in self.methods:
            for backbone in self.backbones:
                for seed in self.seeds or (None,):
                    yield self.for_run(method, backbone, seed)

    def for_run(self, method: Method, backbone: Backbone, seed: int | None = None) -> RunConfig:
        """The configuration of one run.

        Args:
            seed: one of `seeds`, which becomes a part of the label; None: the config's own seed and
                label.

        Raises:
            InputError: a mapping by method or backbone has no value for this run.
        """
        run: dict[str, Any] = {"method": method, "backbone": backbone}
        if seed is not None:
            run |= {"seed": seed, "run_label": with_seed(self.run_label, seed)}
        values = self.model_dump(exclude={"methods", "backbones", "seeds", "mean_rows"})
        for name, by in BY_RUN.items():
            *sections, key = name.split(".")
            section = values
            for section_name in sections:
                section = section[section_name]
            section[key] = _pick(section[key], run[by], name)
        training = values["training"]
        training["weights"] = self.start_file(backbone)
        if training["copy_visible_to_amodal"] and not training["weights"]:
            raise ConfigError(
                "training.copy_visible_to_amodal",
                f"needs weights to copy, but training.weights has no file for {backbone}; add one",
            )
        known = self.dataset.class_list
        resolved = RunConfig.model_validate(values | run | {"classes": known and known.names})
        return resolved.with_classes(known) if known else resolved

    def start_file(self, backbone: Backbone) -> Path | None:
        """The file of weights that trainings with a backbone start from; None: at random."""
        weights = self.training.weights
        return weights.get(backbone) if isinstance(weights, dict) else weights

    @field_validator("methods", "backbones", "seeds")
    @classmethod
    def _each_once(cls, value: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        for number, item in enumerate(value or ()):
            if item in (value or ())[:number]:
                raise ValueError(f"{item} is listed twice; keep one of them")
        return value

    @model_validator(mode="after")
    def _weights_fit(self) -> Config:
        if known := self.dataset.class_list:
            try:
                resolve_weights(self.model.class_weights, known)
            except ConfigError as error:
                raise ValueError(f"{error.key}: {error.problem}") from None
        return self


def _pick(value: Any, key: str, name: str) -> Any:
    if not isinstance(value, dict):
        return value
    if key not in value:
        raise ConfigError(name, f"has no value for {key}; add one, or give one value for all")
    return value[key]
