"""Settings of the network (spec 3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vatrack.config.base import Fraction, Frozen
from vatrack.config.class_weights import PAPER_CLASS_WEIGHTS, WeightPreset


class ProposalConfig(Frozen):
    """Proposal counts of the RPN (spec 3.3)."""

    pre_nms: int = Field(1000, ge=1, description="number of best anchors per level before NMS")
    post_nms: int = Field(1000, ge=1, description="maximum number of proposals per image after NMS")


class SamplerConfig(Frozen):
    """How many boxes a loss sees per image (spec 4.3)."""

    number: int = Field(ge=1, description="maximum number of boxes per image")
    positive_fraction: Fraction = Field(description="maximum share of positives")


class LossWeights(Frozen):
    """Weights of the loss terms (spec 4.4); those not listed are 1."""

    mask: float = Field(
        1.0,
        ge=0,
        description="mask loss of `mask_head` (visible masks if there are two mask heads)",
    )
    amodal_mask: float = Field(1.0, ge=0, description="mask loss of `amodal_mask_head`")
    track: float = Field(
        0.25, ge=0, description="multi-positive cross-entropy loss of the embeddings"
    )
    track_aux: float = Field(
        1.0, ge=0, description="auxiliary L2 loss on the cosine similarity of embeddings"
    )


class ModelConfig(Frozen):
    """The network (spec 3). The defaults are the paper's."""

    norm: Literal["batch", "group"] = Field(
        "batch",
        description="normalization layers of the backbone: batch (fixed statistics, pretrained), "
        "or group (can be trained from scratch)",
    )
    frozen_stages: int = Field(
        1,
        ge=0,
        le=4,
        description="frozen parts of the backbone; 0: none; n: stem and first n stages",
    )
    fpn_channels: int = Field(
        256, ge=8, description="number of channels of each level of the feature pyramid"
    )
    box_head_channels: int = Field(
        1024, ge=8, description="width of the two fully connected layers of a box head"
    )
    mask_head_channels: int = Field(
        256, ge=8, description="number of channels of the convolutions of a mask head"
    )
    mask_head_convs: int = Field(
        4, ge=1, description="number of convolutions before the upsampling of a mask head"
    )
    track_head_channels: int = Field(
        256, ge=8, description="number of channels of the convolutions of the embedding head"
    )
    track_head_convs: int = Field(
        4, ge=1, description="number of convolutions of the embedding head"
    )
    track_head_fc: int = Field(
        1024, ge=8, description="width of the hidden layer of the embedding head"
    )
    embedding_channels: int = Field(256, ge=8, description="dimension of the embeddings")
    norm_groups: int = Field(
        32, ge=1, description="number of groups of the group norm layers; must divide the channels"
    )
    anchor_scale: float = Field(
        8.0, gt=0, description="anchor side length, in strides of the pyramid level"
    )
    train_proposals: ProposalConfig = Field(
        ProposalConfig(pre_nms=2000, post_nms=1000),
        description="RPN proposals of key frames in training",
    )
    test_proposals: ProposalConfig = Field(
        ProposalConfig(pre_nms=1000, post_nms=1000),
        description="RPN proposals of reference frames in training and of all frames at test time",
    )
    rpn_sampler: SamplerConfig = Field(
        SamplerConfig(number=256, positive_fraction=0.5),
        description="anchors sampled for the RPN losses",
    )
    roi_sampler: SamplerConfig = Field(
        SamplerConfig(number=512, positive_fraction=0.25),
        description="regions sampled for the box heads; the positives are used by the mask heads",
    )
    track_sampler: SamplerConfig = Field(
        SamplerConfig(number=256, positive_fraction=0.5),
        description="regions sampled for the embedding head",
    )
    track_negatives_per_positive: float = Field(
        3.0, ge=0, description="maximum number of negatives per positive in the embedding head"
    )
    class_weights: WeightPreset | tuple[Annotated[float, Field(ge=0)], ...] = Field(
        "auto",
        description="class weights of the classification loss (spec 4.4). sailvos: the paper's, by "
        "class name; uniform: all 1; balanced: from the class counts of the training file "
        "(docs/training.md); auto: sailvos for SAIL-VOS's classes, else uniform; or a list in the "
        "order of the classes, then the background",
    )
    loss_weights: LossWeights = Field(default_factory=LossWeights)
    initialisation: Literal["reference", "intended"] = Field(
        "reference",
        description="initial weights; reference: as in the published code (spec 3.9, quirk M1); "
        "intended: as its authors meant",
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
        raise ValueError(
            f"model.class_weights = {self.class_weights} is not resolved; call "
            "RunConfig.with_classes first"
        )

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
