"""Settings of the network (spec 3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vatrack.config.base import Fraction, Frozen
from vatrack.config.class_weights import PAPER_CLASS_WEIGHTS, WeightPreset


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

    mask: float = Field(
        1.0, ge=0, description="mask of `mask_head` (the visible one where there are two)"
    )
    amodal_mask: float = Field(1.0, ge=0, description="mask of `amodal_mask_head`")
    track: float = Field(0.25, ge=0, description="multi-positive cross entropy of the embeddings")
    track_aux: float = Field(
        1.0, ge=0, description="distance of the embeddings' cosines to their targets"
    )


class ModelConfig(Frozen):
    """The network (spec 3). The defaults are the paper's."""

    norm: Literal["batch", "group"] = Field(
        "batch",
        description="backbone norm: batch with fixed statistics (pretrained), or group (trains "
        "from scratch)",
    )
    frozen_stages: int = Field(
        1, ge=0, le=4, description="0: nothing; n: stem and the first n stages stay fixed"
    )
    fpn_channels: int = Field(
        256, ge=8, description="channels of every level of the feature pyramid"
    )
    box_head_channels: int = Field(1024, ge=8, description="width of the two layers of a box head")
    mask_head_channels: int = Field(
        256, ge=8, description="channels of the convolutions of a mask head"
    )
    mask_head_convs: int = Field(
        4, ge=1, description="convolutions before the upsampling of a mask head"
    )
    track_head_channels: int = Field(
        256, ge=8, description="channels of the convolutions of the embedding head"
    )
    track_head_convs: int = Field(4, ge=1, description="convolutions of the embedding head")
    track_head_fc: int = Field(
        1024, ge=8, description="width of the hidden layer of the embedding head"
    )
    embedding_channels: int = Field(256, ge=8, description="length of an embedding")
    norm_groups: int = Field(
        32, ge=1, description="groups of every group norm; must divide the channels"
    )
    anchor_scale: float = Field(8.0, gt=0, description="anchor side in units of the level's stride")
    train_proposals: ProposalConfig = Field(
        ProposalConfig(pre_nms=2000, post_nms=1000), description="of key frames in training"
    )
    test_proposals: ProposalConfig = Field(
        ProposalConfig(pre_nms=1000, post_nms=1000),
        description="of reference frames in training and of all frames in tests",
    )
    rpn_sampler: SamplerConfig = Field(
        SamplerConfig(number=256, positive_fraction=0.5), description="anchors"
    )
    roi_sampler: SamplerConfig = Field(
        SamplerConfig(number=512, positive_fraction=0.25),
        description="regions of the box heads; the positives of the mask heads",
    )
    track_sampler: SamplerConfig = Field(
        SamplerConfig(number=256, positive_fraction=0.5),
        description="regions of the embedding head",
    )
    track_negatives_per_positive: float = Field(
        3.0, ge=0, description="upper limit of the embedding head's negatives"
    )
    class_weights: WeightPreset | tuple[Annotated[float, Field(ge=0)], ...] = Field(
        "auto",
        description="of the classification loss (spec 4.4). sailvos: the paper's, by name; "
        "uniform: 1; balanced: from the counts of the training file (docs/training.md); auto: "
        "sailvos for its classes, else uniform; or a list: the classes in their order, then the "
        "background",
    )
    loss_weights: LossWeights = Field(default_factory=LossWeights)
    initialisation: Literal["reference", "intended"] = Field(
        "reference",
        description="reference: as the published code really starts (spec 3.9, quirk M1); "
        "intended: as meant",
    )

    @property
    def weights(self) -> tuple[float, ...]:
        """A weight for each class and the background: as resolved for a run, or SAIL-VOS's.

        Raises:
            ValueError: they depend on the classes, and `RunConfig.with_classes` was not called.
        """
        if not isinstance(self.class_weights, str):
            return self.class_weights
        if self.class_weights in ("auto", "sailvos"):
            return PAPER_CLASS_WEIGHTS
        raise ValueError(f"model.class_weights = {self.class_weights} is not resolved")

    @property
    def classes(self) -> int:
        """The number of classes, without the background."""
        return len(self.weights) - 1

    @model_validator(mode="after")
    def _groups_divide(self) -> ModelConfig:
        channels = {"track_head_channels": self.track_head_channels}
        if self.norm == "group":
            channels["the backbone's 64"] = 64
        for name, value in channels.items():
            if value % self.norm_groups:
                raise ValueError(
                    f"norm_groups = {self.norm_groups} does not divide {name} = {value}"
                )
        return self
