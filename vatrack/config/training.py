"""Settings of a training: recipe, choice of the checkpoint, job, experiment log (spec 4)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from vatrack.config.base import Count, Fraction, Frozen, Positive, Steps
from vatrack.config.methods import Backbone, Method

# A backbone of torchvision trained on ImageNet, and a Mask R-CNN of OpenMMLab trained on COCO, from
# which the published code starts (spec 3.9).
PUBLISHED_WEIGHTS = (
    "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_x101_64x4d_fpn_1x_coco/"
    "mask_rcnn_x101_64x4d_fpn_1x_coco_20200201-9352eb0d.pth",
)
# The end of an address: a name with the first digits of the file's sha256, as torch.hub has it.
HASH_DIGITS = 8  # at least
HASHED_NAME = re.compile(rf"[^/?#]*-([0-9a-f]{{{HASH_DIGITS},64}})\.\w+")


class OptimizerConfig(Frozen):
    """Optimizer and learning rate (spec 4.5). Values by backbone may be mappings."""

    name: Literal["sgd", "adamw"] = Field("sgd", description="optimizer; the paper uses sgd")
    learning_rate: Positive | dict[Backbone, Positive] = Field(
        {Backbone.RESNET18: 0.005, Backbone.RESNET50: 0.005, Backbone.RESNEXT101: 0.0025},
        description="learning rate: one value, or one per backbone",
    )
    momentum: Fraction = Field(0.9, description="sgd only")
    weight_decay: float = Field(
        1e-4, ge=0, description="weight decay of all trained parameters, including norms and biases"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="maximum gradient norm; null: no clipping"
    )


class ScheduleConfig(Frozen):
    """Learning-rate schedule (spec 4.5)."""

    name: Literal["step", "onecycle"] = Field(
        "step", description="step: as in the paper; onecycle: rises, then falls along a cosine"
    )
    steps: tuple[Steps, ...] = Field(
        (8, 11),
        description="step schedule: epochs (0-based) at whose start the rate is multiplied by "
        "gamma",
    )
    gamma: float = Field(
        0.1, gt=0, description="step schedule: factor of the learning rate at each step"
    )
    warmup_iterations: Steps | dict[Method, Steps] = Field(
        {
            Method.QDTRACK: 2000,
            Method.AMODALTRACK: 2000,
            Method.VATRACK: 6000,
            Method.VATRACK_2BBOX: 6000,
        },
        description="step schedule: length of the warmup; one value, or one per method",
    )
    warmup_fraction: Fraction = Field(
        0.1, description="onecycle schedule: share of all iterations in which the rate rises"
    )


class FaultConfig(Frozen):
    """What happens if a loss, gradient or proposal is not finite. Such an update is never applied
    (quirk T11)."""

    policy: Literal["stop", "skip", "rollback"] = Field(
        "stop",
        description="stop: end the training; skip: skip the batch; rollback: return to the last "
        "saved state and skip the batches since then",
    )
    limit: Count = Field(10, description="skip and rollback: stop after more faults than this")


class TrainingConfig(Frozen):
    """Training recipe (spec 4)."""

    epochs: int = Field(12, ge=1, description="number of passes over all key frames")
    batch_size: Count | dict[Backbone, Count] = Field(
        {Backbone.RESNET18: 8, Backbone.RESNET50: 8, Backbone.RESNEXT101: 4},
        description="frame pairs per step, over all processes",
    )
    accumulate: Count = Field(
        1,
        description="gradient accumulation: number of micro-batches per process; saves memory, "
        "same batch",
    )
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    flip: Fraction = Field(
        0.5, description="probability of a horizontal flip of both frames of a pair"
    )
    reference_range: int = Field(
        3, ge=1, description="maximum distance of the reference frame, in frames"
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="validate and save an exponential moving average of the weights with this "
        "decay, for example 0.999; null: the weights themselves",
    )
    faults: FaultConfig = Field(default_factory=FaultConfig)
    save_minutes: Positive = Field(
        10, description="minutes between saves of the state from which a training resumes"
    )
    keep_checkpoints: Literal["all", "best"] = Field(
        "all",
        description="all: keep the checkpoint of every validated epoch; best: keep the last and "
        "the best (by selection.metric)",
    )
    log_every: int = Field(50, ge=1, description="iterations between lines of metrics.jsonl")
    validate_from: int = Field(
        1, ge=1, description="first epoch (1-based) after which the validation set is evaluated"
    )
    weights: Path | dict[Backbone, Path] | None = Field(
        None,
        description="file of initial weights, or one per backbone: a detector (tensors that fit "
        "are used, the rest is reported) or a backbone alone in torchvision's format",
    )
    weights_urls: tuple[str, ...] = Field(
        PUBLISHED_WEIGHTS,
        description="addresses from which `snakemake fetch_weights` downloads the files in "
        "`weights`, matched by file name; a name ends in the first digits of the file's SHA-256",
    )
    random_start: bool = Field(
        False,
        description="allow training without pretrained weights even if the backbone has frozen "
        "stages or fixed norm statistics",
    )
    copy_visible_to_amodal: bool = Field(
        False,
        description="initialize the amodal heads from the visible ones in `weights` (quirk M4: by "
        "default they start at random)",
    )
    deterministic: bool = Field(
        False,
        description="use only deterministic GPU algorithms: same results in every run, but slower "
        "(quirk T16)",
    )

    @model_validator(mode="after")
    def _some_epoch_is_validated(self) -> TrainingConfig:
        if self.validate_from > self.epochs:
            raise ValueError(
                f"validate_from = {self.validate_from} is larger than epochs = {self.epochs}, so "
                "no checkpoint could be selected; lower it"
            )
        return self

    @field_validator("weights_urls")
    @classmethod
    def _hashed_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not HASHED_NAME.fullmatch(url.rpartition("/")[2]):
                raise ValueError(
                    f"{url}: the file name contains no checksum; it must end in the first eight or "
                    "more digits of the file's SHA-256, like resnet50-0676ba61.pth"
                )
        return value

    @model_validator(mode="after")
    def _something_is_copied(self) -> TrainingConfig:
        if self.copy_visible_to_amodal and not self.weights:
            raise ValueError("copy_visible_to_amodal needs weights to copy; set training.weights")
        return self


class RunOptimizerConfig(OptimizerConfig):
    """`OptimizerConfig` of one run."""

    learning_rate: Positive


class RunScheduleConfig(ScheduleConfig):
    """`ScheduleConfig` of one run."""

    warmup_iterations: Steps


class RunTrainingConfig(TrainingConfig):
    """`TrainingConfig` of one run."""

    batch_size: Count
    weights: Path | None = None
    optimizer: RunOptimizerConfig
    schedule: RunScheduleConfig


# Options of sbatch that would start a training several times, or keep its launcher from seeing it.
OWN_OPTIONS = ("array", "error", "output", "signal", "wait", "wrap")


class LauncherConfig(Frozen):
    """How a training job is started by submitit, and what predictions and evaluations are split
    into."""

    cluster: Literal["local", "slurm", "debug"] = Field(
        "local",
        description="local: a process on this machine; slurm: a SLURM job; debug: inside the "
        "calling process",
    )
    nodes: Count = Field(1, description="number of machines")
    gpus: int = Field(0, ge=0, description="number of GPUs per machine; one process per GPU")
    processes: Count | None = Field(
        None, description="training processes per machine; null: one per GPU, at least one"
    )
    gpu_type: str | None = Field(None, description="SLURM GPU type, for example a100; null: any")
    cpus: int = Field(2, ge=1, description="number of cores (and threads) per process")
    memory_gb: float = Field(8, gt=0, description="memory per machine in GB")
    minutes: int = Field(
        60,
        ge=1,
        description="SLURM time limit in minutes; a longer training saves its state and queues "
        "again",
    )
    prediction_shards: Count = Field(
        1,
        description="number of jobs that share the clips of the validation set in prediction; does "
        "not change the result",
    )
    evaluation_shards: Count = Field(
        1,
        description="number of jobs that share the clips in the evaluation of a run; does not "
        "change the result",
    )
    partition: str | None = Field(None, description="SLURM partition; null: default of the cluster")
    account: str | None = Field(None, description="SLURM account; null: default of the cluster")
    constraint: str | None = Field(
        None, description="SLURM constraint: node features, for example a100_40gb"
    )
    qos: str | None = Field(None, description="SLURM quality of service")
    extra: dict[str, str | int] = Field(
        {}, description="more options of sbatch, for example {exclude: node7}"
    )
    setup: tuple[str, ...] = Field(
        (),
        description="shell commands to run before the training on SLURM, for example [module load "
        "cuda]",
    )
    save_seconds: Count = Field(
        120, description="seconds before its time limit at which a SLURM job saves its state"
    )
    on_interrupt: Literal["ask", "cancel", "keep"] = Field(
        "ask",
        description="what Ctrl-C does to a SLURM job while waiting for it: cancel it, keep it, or "
        "ask (in a terminal; elsewhere cancel)",
    )

    @field_validator("extra")
    @classmethod
    def _one_job_that_is_seen(cls, value: dict[str, str | int]) -> dict[str, str | int]:
        for option in value:
            if option.replace("_", "-") in OWN_OPTIONS:
                raise ValueError(
                    f"{option} is not possible: a training is one job, which is followed by its "
                    "log and saves its state at SLURM's signal; remove it"
                )
        return value


class MlflowConfig(Frozen):
    """Experiment tracking. The run folders remain the source of truth."""

    enabled: bool = Field(True, description="log runs to MLflow")
    tracking_uri: str | None = Field(
        None,
        description="MLflow store; null: $MLFLOW_TRACKING_URI, else a SQLite file in the results "
        "folder",
    )
    experiment: str | None = Field(None, description="MLflow experiment; null: the dataset's name")
    system_metrics: bool = Field(True, description="also log the use of CPU, memory and GPU")


def start_names(weights: str | None) -> dict[str, str | None]:
    """The file that a training starts from under the names that older versions gave it.

    Recipes and fingerprints keep them, so that trainings of older versions are still the same.
    """
    return {"initial_checkpoint": weights, "backbone_weights": None}
