"""The configuration as frozen, typed models. The JSON schema that the workflow checks with is generated from here.

`Config` is what a person writes (one YAML file for a set of runs). Values that the paper chooses by method or backbone may
be given once or as a mapping; `Config.for_run` picks them for one run and returns the `RunConfig` that the run's folder keeps.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from vatrack.config.base import Count, Fraction, Frozen, Positive, Side, Steps
from vatrack.config.dataset import DatasetConfig
from vatrack.errors import InputError
from vatrack.files import read_yaml

PAPER_CLASS_WEIGHTS = (
    0.1, 0.8, 12.5, 7.0, 15.5, 16.0, 9.5, 20.8, 0.9, 0.9, 3.5, 0.8, 1.5, 17.8,
    1.9, 3.4, 104.0, 4.4, 1.8, 1.4, 0.35, 0.8, 1.3, 3.3, 1.0,
)  # fmt: skip


class Method(StrEnum):
    """The four methods: which masks and boxes a network learns."""

    QDTRACK = "qdtrack"
    AMODALTRACK = "amodaltrack"
    VATRACK = "vatrack"
    VATRACK_2BBOX = "vatrack-2bbox"

    @property
    def masks(self) -> tuple[str, ...]:
        """The kinds of mask that the method predicts, amodal first."""
        return {"qdtrack": ("visible",), "amodaltrack": ("amodal",)}.get(self.value, ("amodal", "visible"))

    @property
    def form(self) -> str:
        """The annotation form that the method trains on (spec 1.5)."""
        forms = {"qdtrack": "visible", "amodaltrack": "amodal", "vatrack": "joint", "vatrack-2bbox": "joint-2bbox"}
        return forms[self.value]


class Backbone(StrEnum):
    """Trunks: the paper's two and a small one for the miniature set."""

    RESNET18 = "resnet18"
    RESNET50 = "resnet50"
    RESNEXT101 = "resnext101_64x4d"


class ProposalConfig(Frozen):
    """Proposal counts of the RPN (spec 3.3)."""

    pre_nms: int = Field(1000, ge=1, description="best anchors kept per level before NMS")
    post_nms: int = Field(1000, ge=1, description="proposals kept per image")


class SamplerConfig(Frozen):
    """How many boxes a loss sees per image (spec 4.3)."""

    number: int = Field(ge=1, description="boxes per image, at most")
    positive_fraction: Fraction = Field(description="largest share of positives among them")


class LossWeights(Frozen):
    """Weights of the loss terms (spec 4.4); those not listed are 1."""

    mask: float = Field(1.0, ge=0, description="mask of `mask_head` (the visible one where there are two)")
    amodal_mask: float = Field(1.0, ge=0, description="mask of `amodal_mask_head`")
    track: float = Field(0.25, ge=0, description="multi-positive cross entropy of the embeddings")
    track_aux: float = Field(1.0, ge=0, description="distance of the embeddings' cosines to their targets")


class ModelConfig(Frozen):
    """The network (spec 3). The defaults are the paper's."""

    norm: Literal["batch", "group"] = Field(
        "batch", description="backbone norm: batch with fixed statistics (pretrained), or group (trains from scratch)"
    )
    frozen_stages: int = Field(1, ge=0, le=4, description="0: nothing; n: stem and the first n stages stay fixed")
    fpn_channels: int = Field(256, ge=8, description="channels of every level of the feature pyramid")
    box_head_channels: int = Field(1024, ge=8, description="width of the two layers of a box head")
    mask_head_channels: int = Field(256, ge=8, description="channels of the convolutions of a mask head")
    mask_head_convs: int = Field(4, ge=1, description="convolutions before the upsampling of a mask head")
    track_head_channels: int = Field(256, ge=8, description="channels of the convolutions of the embedding head")
    track_head_convs: int = Field(4, ge=1, description="convolutions of the embedding head")
    track_head_fc: int = Field(1024, ge=8, description="width of the hidden layer of the embedding head")
    embedding_channels: int = Field(256, ge=8, description="length of an embedding")
    norm_groups: int = Field(32, ge=1, description="groups of every group norm; must divide the channels")
    anchor_scale: float = Field(8.0, gt=0, description="anchor side in units of the level's stride")
    train_proposals: ProposalConfig = Field(
        ProposalConfig(pre_nms=2000, post_nms=1000), description="of key frames in training"
    )
    test_proposals: ProposalConfig = Field(
        ProposalConfig(pre_nms=1000, post_nms=1000), description="of reference frames in training and of all frames in tests"
    )
    rpn_sampler: SamplerConfig = Field(SamplerConfig(number=256, positive_fraction=0.5), description="anchors")
    roi_sampler: SamplerConfig = Field(
        SamplerConfig(number=512, positive_fraction=0.25),
        description="regions of the box heads; the positives of the mask heads",
    )
    track_sampler: SamplerConfig = Field(
        SamplerConfig(number=256, positive_fraction=0.5), description="regions of the embedding head"
    )
    track_negatives_per_positive: float = Field(3.0, ge=0, description="upper limit of the embedding head's negatives")
    class_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        PAPER_CLASS_WEIGHTS, description="24 classes, then background (spec 4.4)", min_length=25, max_length=25
    )
    loss_weights: LossWeights = LossWeights()  # type: ignore[call-arg]
    initialisation: Literal["reference", "intended"] = Field(
        "reference", description="reference: as the published code really starts (spec 3.9, quirk M1); intended: as meant"
    )

    @model_validator(mode="after")
    def _groups_divide(self) -> ModelConfig:
        channels = {"track_head_channels": self.track_head_channels}
        if self.norm == "group":
            channels["the backbone's 64"] = 64
        for name, value in channels.items():
            if value % self.norm_groups:
                raise ValueError(f"norm_groups = {self.norm_groups} does not divide {name} = {value}")
        return self


class OptimizerConfig(Frozen):
    """Optimizer and learning rate (spec 4.5). Values by backbone may be mappings."""

    name: Literal["sgd", "adamw"] = Field("sgd", description="sgd is the paper's")
    learning_rate: Positive | dict[Backbone, Positive] = Field(
        {Backbone.RESNET18: 0.005, Backbone.RESNET50: 0.005, Backbone.RESNEXT101: 0.0025},
        description="one value, or one per backbone",
    )
    momentum: Fraction = Field(0.9, description="sgd only")
    weight_decay: float = Field(1e-4, ge=0, description="on all trained parameters, norms and biases included")
    clip_norm: float | None = Field(None, gt=0, description="largest gradient norm; null: no clipping")


class ScheduleConfig(Frozen):
    """Learning-rate schedule (spec 4.5)."""

    name: Literal["step", "onecycle"] = Field(
        "step", description="step is the paper's; onecycle rises, then falls along a cosine"
    )
    steps: tuple[Steps, ...] = Field((8, 11), description="step: epochs (0-based) before which the rate is multiplied by gamma")
    gamma: float = Field(0.1, gt=0, description="step: factor of the learning rate at each step")
    warmup_iterations: Steps | dict[Method, Steps] = Field(
        {Method.QDTRACK: 2000, Method.AMODALTRACK: 2000, Method.VATRACK: 6000, Method.VATRACK_2BBOX: 6000},
        description="one value, or one per method (step schedule)",
    )
    warmup_fraction: Fraction = Field(0.1, description="share of all iterations that the rate rises (onecycle schedule)")


class TrainingConfig(Frozen):
    """The recipe (spec 4)."""

    epochs: int = Field(12, ge=1, description="passes over all key frames")
    batch_size: Count | dict[Backbone, Count] = Field(
        {Backbone.RESNET18: 8, Backbone.RESNET50: 8, Backbone.RESNEXT101: 4}, description="pairs per step"
    )
    optimizer: OptimizerConfig = OptimizerConfig()  # type: ignore[call-arg]
    schedule: ScheduleConfig = ScheduleConfig()  # type: ignore[call-arg]
    image_scale: tuple[Side, Side] = Field((1280, 800), description="largest width and height of the network's input, pixels")
    flip: Fraction = Field(0.5, description="probability of a horizontal flip, shared by the pair")
    reference_range: int = Field(3, ge=1, description="largest distance of the reference frame, in frames")
    workers: int = Field(4, ge=0, description="processes that load data; 0: load in the training process")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the first GPU where there is one, else the CPU")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="bfloat16: automatic mixed precision")
    channels_last: bool = Field(False, description="memory layout of the convolutions; often faster, same result")
    log_every: int = Field(50, ge=1, description="iterations between two lines of metrics.jsonl")
    validate_from: int = Field(1, ge=1, description="first epoch (1-based) after which the valid set is evaluated")
    initial_checkpoint: Path | None = Field(None, description="weights to start from; what fits is taken, the rest reported")
    backbone_weights: Path | None = Field(None, description="ImageNet weights of the backbone in torchvision's format")
    copy_visible_to_amodal: bool = Field(
        False, description="start the amodal heads like the visible ones of initial_checkpoint (quirk M4: they start at random)"
    )
    deterministic: bool = Field(
        False, description="use only algorithms that repeat themselves bit by bit on a GPU, too; slower (quirk T16)"
    )

    @model_validator(mode="after")
    def _some_epoch_is_validated(self) -> TrainingConfig:
        if self.validate_from > self.epochs:
            raise ValueError(
                f"validate_from = {self.validate_from} is after the last of epochs = {self.epochs}, "
                "so no checkpoint could be chosen; lower it"
            )
        return self

    @model_validator(mode="after")
    def _something_is_copied(self) -> TrainingConfig:
        if self.copy_visible_to_amodal and not self.initial_checkpoint:
            raise ValueError("copy_visible_to_amodal needs weights to copy; name them as initial_checkpoint")
        return self


class TrackerConfig(Frozen):
    """The quasi-dense tracker (spec 5.1). The defaults are the paper's."""

    init_score: float = Field(0.01, description="a new track needs a higher score")
    obj_score: float = Field(0.01, description="a match needs a higher score; also splits the two duplicate thresholds")
    match_score: float = Field(0.5, description="lowest similarity of a match")
    memo_frames: int = Field(32, ge=1, description="frames that a lost track is remembered")
    backdrop_frames: int = Field(1, ge=0, description="frames of backdrops in memory")
    momentum: Fraction = Field(0.8, description="weight of the new embedding (spec I11)")
    nms_conf: float = Field(0.5, description="similarity above which a weak match takes no new track")
    nms_backdrop_iou: float = Field(0.3, description="overlap with a better box that ends a weak detection or a backdrop")
    nms_class_iou: float = Field(0.7, description="overlap with a better box that ends any other detection")
    with_classes: bool = Field(True, description="match within a class only")
    metric: Literal["bisoftmax", "softmax", "cosine"] = Field("bisoftmax", description="similarity of embeddings")


class InferenceConfig(Frozen):
    """Detection at test time (spec 5)."""

    score_threshold: float = Field(0.01, ge=0, description="a detection needs a higher score")
    nms_iou: Fraction = Field(0.5, description="overlap within a class above which the better box wins")
    max_detections: int = Field(100, ge=1, description="best detections of a frame that are kept")
    mask_threshold: Fraction = Field(0.5, description="lowest probability of a mask's pixel")
    tracker: TrackerConfig = TrackerConfig()  # type: ignore[call-arg]


class EvaluationConfig(Frozen):
    """Protocol switches (spec 6 and 8.6)."""

    legacy_gt_id0: bool = Field(False, description="reproduce quirk E1: ground truth with id 0 is never matched")
    max_tracks: int = Field(100, ge=1, description="tracks per class and video that count (spec E9)")


class SelectionConfig(Frozen):
    """Which checkpoint is the best."""

    metric: str | None = Field(
        None, description="key of the metrics, higher is better; null: video AP, amodal where the method has it"
    )


class LauncherConfig(Frozen):
    """How submitit starts a training job."""

    cluster: Literal["local", "slurm", "debug"] = Field(
        "local", description="local: a process here; slurm: a SLURM job; debug: inside the waiting process"
    )
    gpus: int = Field(0, ge=0, description="GPUs of the job")
    gpu_type: str | None = Field(None, description="for example a100")
    cpus: int = Field(2, ge=1, description="cores of the job, and threads of its computation")
    memory_gb: float = Field(8, gt=0, description="memory of the job")
    minutes: int = Field(60, ge=1, description="time limit")
    partition: str | None = Field(None, description="of SLURM; null: its default")
    account: str | None = Field(None, description="of SLURM; null: its default")
    constraint: str | None = Field(None, description="of SLURM; node features, for example a100_40gb")


class MlflowConfig(Frozen):
    """Experiment tracking; the runs' folders stay the source of truth."""

    enabled: bool = Field(True, description="whether runs are copied into MLflow")
    tracking_uri: str | None = Field(None, description="null: $MLFLOW_TRACKING_URI, else a SQLite file in the results folder")
    experiment: str | None = Field(None, description="null: the data set's name")


class _Shared(Frozen):
    """The sections that a set of runs and a single run have in common."""

    results: Path = Field(Path("results"), description="folder for everything that is made")
    seed: int = Field(0, ge=0, description="the one seed of all randomness")
    dataset: DatasetConfig = DatasetConfig()  # type: ignore[call-arg]
    model: ModelConfig = ModelConfig()  # type: ignore[call-arg]
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


class Config(_Shared):
    """What a config file holds."""

    methods: tuple[Method, ...] = Field((Method.VATRACK,), min_length=1, description="which methods are trained and compared")
    backbones: tuple[Backbone, ...] = Field((Backbone.RESNET18,), min_length=1, description="each method with each of these")

    def for_run(self, method: Method, backbone: Backbone) -> RunConfig:
        """The configuration of one run.

        Raises:
            InputError: a mapping by method or backbone has no value for this run.
        """
        values = self.model_dump(exclude={"methods", "backbones"})
        training = values["training"]
        training["batch_size"] = _pick(training["batch_size"], backbone, "training.batch_size")
        optimizer, schedule = training["optimizer"], training["schedule"]
        optimizer["learning_rate"] = _pick(optimizer["learning_rate"], backbone, "training.optimizer.learning_rate")
        schedule["warmup_iterations"] = _pick(schedule["warmup_iterations"], method, "training.schedule.warmup_iterations")
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
            message = "unknown key; remove it or see docs/config.md" if item["type"] == "extra_forbidden" else item["msg"]
            lines.append(f"  {place or '(top)'}: {message}")
        raise InputError("\n".join(lines)) from None


def load_config(path: Path | str) -> Config:
    """Reads a config file (see `Config`)."""
    return parse_config(read_yaml(path), str(path), Config)


def load_run_config(path: Path | str) -> RunConfig:
    """Reads the resolved config of a run's folder."""
    return parse_config(read_yaml(path), str(path), RunConfig)


def json_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of `Config`, as committed in workflow/schemas/config.schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
