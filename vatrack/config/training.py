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
HASHED_NAME = re.compile(r"[^/?#]*-([0-9a-f]{8,64})\.\w+")


class OptimizerConfig(Frozen):
    """Optimizer and learning rate (spec 4.5). Values by backbone may be mappings."""

    name: Literal["sgd", "adamw"] = Field("sgd", description="sgd is the paper's")
    learning_rate: Positive | dict[Backbone, Positive] = Field(
        {Backbone.RESNET18: 0.005, Backbone.RESNET50: 0.005, Backbone.RESNEXT101: 0.0025},
        description="one value, or one per backbone",
    )
    momentum: Fraction = Field(0.9, description="sgd only")
    weight_decay: float = Field(
        1e-4, ge=0, description="on all trained parameters, norms and biases included"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="largest gradient norm; null: no clipping"
    )


class ScheduleConfig(Frozen):
    """Learning-rate schedule (spec 4.5)."""

    name: Literal["step", "onecycle"] = Field(
        "step", description="step is the paper's; onecycle rises, then falls along a cosine"
    )
    steps: tuple[Steps, ...] = Field(
        (8, 11), description="step: epochs (0-based) before which the rate is multiplied by gamma"
    )
    gamma: float = Field(0.1, gt=0, description="step: factor of the learning rate at each step")
    warmup_iterations: Steps | dict[Method, Steps] = Field(
        {
            Method.QDTRACK: 2000,
            Method.AMODALTRACK: 2000,
            Method.VATRACK: 6000,
            Method.VATRACK_2BBOX: 6000,
        },
        description="one value, or one per method (step schedule)",
    )
    warmup_fraction: Fraction = Field(
        0.1, description="share of all iterations that the rate rises (onecycle schedule)"
    )


class FaultConfig(Frozen):
    """What follows when a loss, a gradient or a proposal is not finite. The update is never made
    (quirk T11)."""

    policy: Literal["stop", "skip", "rollback"] = Field(
        "stop",
        description="stop; skip: leave the batch out; rollback: return to the last saved state and "
        "leave out what came since",
    )
    limit: Count = Field(
        10, description="skip and rollback: a training with more faults than this stops"
    )


class TrainingConfig(Frozen):
    """The recipe (spec 4)."""

    epochs: int = Field(12, ge=1, description="passes over all key frames")
    batch_size: Count | dict[Backbone, Count] = Field(
        {Backbone.RESNET18: 8, Backbone.RESNET50: 8, Backbone.RESNEXT101: 4},
        description="pairs per step, of all processes together",
    )
    accumulate: Count = Field(
        1, description="micro-batches that a process computes in turn: less memory, same batch"
    )
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    flip: Fraction = Field(0.5, description="probability of a horizontal flip, shared by the pair")
    reference_range: int = Field(
        3, ge=1, description="largest distance of the reference frame, in frames"
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="validate and keep a running mean of the weights, for example 0.999; null: the "
        "weights",
    )
    faults: FaultConfig = Field(default_factory=FaultConfig)
    save_minutes: Positive = Field(
        10, description="time between two saves of the state from which a training resumes"
    )
    keep_checkpoints: Literal["all", "best"] = Field(
        "all",
        description="all: of each validated epoch; best: the last and, by selection.metric, the "
        "best so far",
    )
    log_every: int = Field(50, ge=1, description="iterations between two lines of metrics.jsonl")
    validate_from: int = Field(
        1, ge=1, description="first epoch (1-based) after which the valid set is evaluated"
    )
    weights: Path | dict[Backbone, Path] | None = Field(
        None,
        description="file of weights to start from, or one per backbone: a detector, of which what "
        "fits is taken and the rest reported, or a backbone alone in torchvision's format",
    )
    weights_urls: tuple[str, ...] = Field(
        PUBLISHED_WEIGHTS,
        description="where `snakemake fetch_weights` downloads files of `weights`, each from the "
        "address that ends in its name; names end in the first digits of the sha256",
    )
    random_start: bool = Field(
        False,
        description="train although the backbone has frozen stages or fixed norm statistics and "
        "no pretrained weights",
    )
    copy_visible_to_amodal: bool = Field(
        False,
        description="start the amodal heads like the visible ones of `weights` (quirk M4: they "
        "start at random)",
    )
    deterministic: bool = Field(
        False,
        description="use only algorithms that repeat themselves bit by bit on a GPU, too; slower "
        "(quirk T16)",
    )

    @model_validator(mode="after")
    def _some_epoch_is_validated(self) -> TrainingConfig:
        if self.validate_from > self.epochs:
            raise ValueError(
                f"validate_from = {self.validate_from} is after the last of epochs = "
                f"{self.epochs}, "
                "so no checkpoint could be chosen; lower it"
            )
        return self

    @field_validator("weights_urls")
    @classmethod
    def _hashed_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not HASHED_NAME.fullmatch(url.rpartition("/")[2]):
                raise ValueError(
                    f"{url}: ends in no checksum to compare the file with; its name must end in "
                    f"the first eight or more digits of its sha256, like resnet50-0676ba61.pth"
                )
        return value

    @model_validator(mode="after")
    def _something_is_copied(self) -> TrainingConfig:
        if self.copy_visible_to_amodal and not self.weights:
            raise ValueError(
                "copy_visible_to_amodal needs weights to copy; name them as training.weights"
            )
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


class SelectionConfig(Frozen):
    """Which checkpoint is the best."""

    metric: str | None = Field(
        None,
        description="key of the metrics, higher is better; null: video AP (image AP where "
        "there are no tracks), amodal where the method has it",
    )


class LauncherConfig(Frozen):
    """How a training job is started by submitit, and what predictions and evaluations are split
    into."""

    cluster: Literal["local", "slurm", "debug"] = Field(
        "local",
        description="local: a process here; slurm: a SLURM job; debug: inside the waiting process",
    )
    nodes: Count = Field(1, description="machines of the job")
    gpus: int = Field(
        0, ge=0, description="GPUs of the job on each machine; each has a process of its own"
    )
    processes: Count | None = Field(
        None, description="training processes on each machine; null: one per GPU, at least one"
    )
    gpu_type: str | None = Field(None, description="for example a100")
    cpus: int = Field(2, ge=1, description="cores of each process, and threads of its computation")
    memory_gb: float = Field(8, gt=0, description="memory of the job on each machine")
    minutes: int = Field(
        60,
        ge=1,
        description="on SLURM: time limit; one that needs longer saves its state and queues again",
    )
    prediction_shards: Count = Field(
        1,
        description="jobs that the prediction of the validation set is split into, by clips; the "
        "merged predictions are the same bytes",
    )
    evaluation_shards: Count = Field(
        1,
        description="jobs that the evaluation of a run is split into, by clips; the merged metrics "
        "are the same bytes",
    )
    partition: str | None = Field(None, description="of SLURM; null: its default")
    account: str | None = Field(None, description="of SLURM; null: its default")
    constraint: str | None = Field(
        None, description="of SLURM; node features, for example a100_40gb"
    )
    qos: str | None = Field(None, description="of SLURM; quality of service")
    extra: dict[str, str | int] = Field(
        {}, description="further options of sbatch, for example {exclude: node7}"
    )
    setup: tuple[str, ...] = Field(
        (), description="shell lines before the training on SLURM, for example [module load cuda]"
    )
    save_seconds: Count = Field(
        120, description="how long before its time limit a SLURM job is told to save its state"
    )
    on_interrupt: Literal["ask", "cancel", "keep"] = Field(
        "ask",
        description="Ctrl-C while a SLURM job is waited for: cancel it or keep it; ask: on a "
        "terminal, elsewhere cancel",
    )


class MlflowConfig(Frozen):
    """Experiment tracking; the runs' folders stay the source of truth."""

    enabled: bool = Field(True, description="whether runs are copied into MLflow")
    tracking_uri: str | None = Field(
        None, description="null: $MLFLOW_TRACKING_URI, else a SQLite file in the results folder"
    )
    experiment: str | None = Field(None, description="null: the dataset's name")
    system_metrics: bool = Field(
        True, description="use of processors, memory and GPU beside the losses"
    )
