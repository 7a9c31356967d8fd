"""The second stage: which heads a method has, what supervises them, what they predict (spec 4.1,
5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from vatrack.common.mask_types import MaskType
from vatrack.common.structures import WHOLE_BATCH, BatchShare, Targets
from vatrack.config import InferenceConfig, ModelConfig
from vatrack.models.assign import HEAD_THRESHOLDS, TRACK_THRESHOLDS
from vatrack.models.box_head import BoxHead, best_class_boxes, box_losses, detect
from vatrack.models.embedding_head import EmbeddingHead, tracking_losses
from vatrack.models.mask_head import MASK_SIZE, MaskHead, mask_loss, mask_targets, positive_regions
from vatrack.models.mask_head import REGION_SIZE as MASK_REGION_SIZE
from vatrack.models.roi import VECTOR_REGION_SIZE as REGION_SIZE
from vatrack.models.roi import region_features, with_image_index
from vatrack.models.sample import Sample, sample_boxes

# Optimizer states refer to parameters by position, so the order is that of published checkpoints.
PUBLISHED_ORDER = ("bbox_head", "mask_head", "amodal_mask_head", "amodal_bbox_head")


@dataclass(frozen=True)
class Layout:
    """What distinguishes the four methods.

    Attributes:
        boxes: mask type ("amodal", "visible") to the name of its box head; the first one is the
            primary one, which the RPN, the tracker and the scores use.
        masks: mask type to (name of its mask head, mask type of the boxes it looks at).
    """

    boxes: Mapping[MaskType, str]
    masks: Mapping[MaskType, tuple[str, MaskType]]

    @property
    def primary(self) -> MaskType:
        return next(iter(self.boxes))


@dataclass(frozen=True)
class Detections:
    """What one frame shows: n rows, best score first.

    Attributes:
        boxes: mask type to (n, 4) corners in original pixels.
        scores: (n,); `labels`: (n,) int64; `embeddings`: (n, channels).
        masks: mask type to (n, 28, 28) probabilities inside the box of that mask; empty before
            `RegionHeads.add_masks`.
    """

    boxes: Mapping[MaskType, Tensor]
    scores: Tensor
    labels: Tensor
    embeddings: Tensor
    masks: Mapping[MaskType, Tensor] = field(default_factory=dict)

    def select(self, rows: Tensor) -> Detections:
        """The given rows, in the given order."""
        return Detections(
            {mask_type: value[rows] for mask_type, value in self.boxes.items()},
            self.scores[rows],
            self.labels[rows],
            self.embeddings[rows],
            {mask_type: value[rows] for mask_type, value in self.masks.items()},
        )


@dataclass(frozen=True)
class FrameBatch:
    """The key frames of a batch of pairs, or their reference frames.

    Attributes:
        features: [P2..P6] of all frames; `proposals`: (k_i, 4 or 5) per frame, in network pixels;
            `targets`: one per frame.
    """

    features: Sequence[Tensor]
    proposals: Sequence[Tensor]
    targets: Sequence[Targets]

    @property
    def boxes(self) -> list[Tensor]:
        """The proposals without their scores."""
        return [proposals[:, :4] for proposals in self.proposals]


class RegionHeads(nn.Module):
    """Box, mask and embedding heads of one method, by the names of published checkpoints."""

    class_weights: Tensor

    def __init__(self, settings: ModelConfig, layout: Layout) -> None:
        super().__init__()
        channels, classes = settings.fpn_channels, settings.classes
        self.settings, self.layout = settings, layout
        names = {*layout.boxes.values(), *(name for name, _ in layout.masks.values())}
        for name in (name for name in PUBLISHED_ORDER if name in names):
            if name.endswith("bbox_head"):
                self.add_module(name, BoxHead(classes, channels, settings.box_head_channels))
            else:
                width, depth = settings.mask_head_channels, settings.mask_head_convs
                self.add_module(name, MaskHead(classes, channels, width, depth))
        self.track_head = EmbeddingHead(
            channels,
            settings.track_head_channels,
            settings.track_head_convs,
            settings.track_head_fc,
            settings.embedding_channels,
            settings.norm_groups,
        )
        weights = torch.tensor(settings.weights, device="cpu")
        self.register_buffer("class_weights", weights, persistent=False)

    def losses(
        self, key: FrameBatch, ref: FrameBatch, share: BatchShare = WHOLE_BATCH
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Loss terms of a batch of pairs, and the numbers of sampled positives and negatives, a row
        (2,) per call of a sampler."""
        # All samples come first: a GPU that must tell what they are has little to do yet.
        samples = {
            mask_type: sample_boxes(
                key.boxes,
                [target.boxes[mask_type] for target in key.targets],
                HEAD_THRESHOLDS,
                self.settings.roi_sampler,
                generators=share.generators,
            )
            for mask_type in self.layout.boxes
        }
        key_samples, ref_samples = (self._track_samples(frames, share) for frames in (key, ref))
        losses: dict[str, Tensor] = {}
        for mask_type, name in self.layout.boxes.items():
            losses |= self._box_losses(name, mask_type, key, samples[mask_type], share)
        losses |= self._mask_losses(key, samples, share)
        losses |= self._track_losses(key, ref, key_samples, ref_samples)
        heads = [sample for of_type in samples.values() for sample in of_type]
        track = [sample for pair in zip(key_samples, ref_samples, strict=True) for sample in pair]
        return losses, {"box_and_mask_heads": _counts(heads), "track": _counts(track)}

    def _box_losses(
        self,
        name: str,
        mask_type: MaskType,
        key: FrameBatch,
        samples: Sequence[Sample],
        share: BatchShare,
    ) -> dict[str, Tensor]:
        regions, targets = with_image_index([sample.boxes for sample in samples]), key.targets
        logits, deltas = self.get_submodule(name)(
            region_features(key.features, regions, REGION_SIZE)
        )
        classification, regression, accuracy = box_losses(
            logits,
            deltas,
            samples,
            [t.boxes[mask_type] for t in targets],
            [t.labels for t in targets],
            self.class_weights,
            share,
        )
        infix = "amodal_" if name.startswith("amodal_") else ""
        suffix = "_amodal" if infix else ""
        return {
            f"loss_{infix}cls": classification,
            f"loss_{infix}bbox": regression,
            f"acc{suffix}": accuracy,
        }

    def _mask_losses(
        self, key: FrameBatch, samples: Mapping[MaskType, Sequence[Sample]], share: BatchShare
    ) -> dict[str, Tensor]:
        weights = self.settings.loss_weights.model_dump()
        pooled = {
            mask_type: region_features(
                key.features, positive_regions(samples[mask_type]), MASK_REGION_SIZE
            )
            for mask_type in dict.fromkeys(box_type for _, box_type in self.layout.masks.values())
        }
        losses = {}
        for mask_type, (name, box_type) in self.layout.masks.items():
            chosen = samples[box_type]
            labels = torch.cat(
                [
                    target.labels[sample.matched]
                    for target, sample in zip(key.targets, chosen, strict=True)
                ]
            )
            goal = mask_targets(
                [sample.positives for sample in chosen],
                [sample.matched for sample in chosen],
                [target.masks[mask_type] for target in key.targets],
            )
            term = name.removesuffix("_head")
            logits = self.get_submodule(name)(pooled[box_type])
            losses[f"loss_{term}"] = weights[term] * mask_loss(logits, labels, goal, share)
        return losses

    def _track_losses(
        self,
        key: FrameBatch,
        ref: FrameBatch,
        key_samples: Sequence[Sample],
        ref_samples: Sequence[Sample],
    ) -> dict[str, Tensor]:
        regions = positive_regions(key_samples), with_image_index([s.boxes for s in ref_samples])
        pooled = [
            region_features(frames.features, found, REGION_SIZE)
            for frames, found in zip((key, ref), regions, strict=True)
        ]
        # At once: the gradient of the wide layer is as large as the layer.
        own, others = self.track_head(torch.cat(pooled)).tensor_split([len(regions[0])])
        matches = [target.match_indices for target in key.targets]
        matching, auxiliary = tracking_losses(own, others, key_samples, ref_samples, matches)
        weights = self.settings.loss_weights
        return {
            "loss_track": weights.track * matching,
            "loss_track_aux": weights.track_aux * auxiliary,
        }

    def _track_samples(self, frames: FrameBatch, share: BatchShare) -> list[Sample]:
        return sample_boxes(
            frames.boxes,
            [target.boxes[self.layout.primary] for target in frames.targets],
            TRACK_THRESHOLDS,
            self.settings.track_sampler,
            self.settings.track_negatives_per_positive,
            share.generators,
        )

    def detect(
        self,
        features: Sequence[Tensor],
        proposals: Tensor,
        image_size: tuple[int, int],
        scale: Tensor,
        settings: InferenceConfig,
    ) -> Detections:
        """Boxes, scores, labels and embeddings of one image, without masks.

        Args:
            features: [P2..P6] of a batch of one; `proposals`: (k, 4 or 5) in network pixels.
            image_size: height and width of the network input without padding.
            scale: (4,) network pixels per original pixel.
        """
        (first, name), *others = self.layout.boxes.items()
        regions = with_image_index([proposals])
        logits, deltas = self.get_submodule(name)(region_features(features, regions, REGION_SIZE))
        boxes, scores, labels = detect(
            logits,
            deltas,
            proposals[:, :4],
            image_size,
            scale,
            score_threshold=settings.score_threshold,
            nms_iou=settings.nms_iou,
            limit=settings.max_detections,
        )
        found = {first: boxes}
        pooled = region_features(features, with_image_index([boxes * scale]), REGION_SIZE)
        for mask_type, name in others:
            logits, deltas = self.get_submodule(name)(pooled)
            found[mask_type] = best_class_boxes(
                logits, deltas, boxes, image_size, scale, settings.score_threshold
            )
        return Detections(found, scores, labels, self.track_head(pooled).float())

    def add_masks(
        self, features: Sequence[Tensor], detections: Detections, scale: Tensor
    ) -> Detections:
        """The same detections with the mask probabilities of their label, each type in its own
        box."""
        if not len(detections.labels):
            nothing = detections.scores.new_zeros(0, MASK_SIZE, MASK_SIZE)
            return replace(detections, masks=dict.fromkeys(self.layout.masks, nothing))
        masks, pooled = {}, {}
        for mask_type, (name, box_type) in self.layout.masks.items():
            if box_type not in pooled:
                regions = with_image_index([detections.boxes[box_type] * scale])
                pooled[box_type] = region_features(features, regions, MASK_REGION_SIZE)
            head = self.get_submodule(name)
            assert isinstance(head, MaskHead)
            masks[mask_type] = head.planes(pooled[box_type], detections.labels).float().sigmoid()
        return replace(detections, masks=masks)

    def mask_box_type(self, mask_type: MaskType) -> MaskType:
        """The type of box in which masks of this type lie."""
        return self.layout.masks[mask_type][1]


def _counts(samples: Sequence[Sample]) -> Tensor:
    """Numbers of positives and negatives, (samples, 2)."""
    return torch.tensor(
        [[len(sample.matched), sample.count - len(sample.matched)] for sample in samples]
    ).view(-1, 2)
