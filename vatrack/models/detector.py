"""Assembles the four methods (spec 0, 3, 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vatrack.common.mask_types import MaskType
from vatrack.common.structures import WHOLE_BATCH, BatchShare, Targets
from vatrack.config import Backbone, InferenceConfig, Method, ModelConfig
from vatrack.models.backbone import ResidualTrunk
from vatrack.models.fpn import FeaturePyramid
from vatrack.models.initialise import initialise
from vatrack.models.memory_order import channels_first
from vatrack.models.roi_heads import Detections, FrameBatch, Layout, RegionHeads
from vatrack.models.rpn import ProposalNetwork, propose, rpn_losses, zero_if_finite


class Detector(nn.Module):
    """Finds, segments and embeds the objects of a frame.

    Its forward pass is the loss of a pair of frames; `detect` finds objects.

    Args:
        layout: which heads there are, and so what is segmented.
    """

    def __init__(self, settings: ModelConfig, backbone: Backbone, layout: Layout) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = ResidualTrunk(
            backbone, settings.norm, settings.frozen_stages, settings.norm_groups
        )
        self.neck = FeaturePyramid(self.backbone.channels, settings.fpn_channels)
        self.rpn_head = ProposalNetwork(settings.fpn_channels, settings.anchor_scale)
        self.roi_head = RegionHeads(settings, layout)
        initialise(self.backbone, self.neck, self.rpn_head, self.roi_head, settings.initialisation)

    def features(self, images: Tensor) -> list[Tensor]:
        """Normalised images (n, 3, H, W), H and W multiples of 32, to [P2..P6]."""
        return self.neck(self.backbone(images))

    def forward(
        self,
        key_images: Tensor,
        ref_images: Tensor,
        key_targets: Sequence[Targets],
        ref_targets: Sequence[Targets],
        image_sizes: Sequence[tuple[int, int]],
        ref_sizes: Sequence[tuple[int, int]] | None = None,
        share: BatchShare = WHOLE_BATCH,
    ) -> dict[str, Tensor]:
        """The terms of `losses` alone: what a training step differentiates.

        Frames are detected with `detect`, not by a call of the network.
        """
        terms, _ = self.losses(
            key_images,
            ref_images,
            key_targets,
            ref_targets,
            image_sizes,
            ref_sizes=ref_sizes,
            share=share,
        )
        return terms

    def losses(
        self,
        key_images: Tensor,
        ref_images: Tensor,
        key_targets: Sequence[Targets],
        ref_targets: Sequence[Targets],
        image_sizes: Sequence[tuple[int, int]],
        *,
        ref_sizes: Sequence[tuple[int, int]] | None = None,
        key_proposals: Sequence[Tensor] | None = None,
        ref_proposals: Sequence[Tensor] | None = None,
        share: BatchShare = WHOLE_BATCH,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """All terms of one training step; the total is the sum of those named loss_* (spec 4.4).

        Args:
            key_images, ref_images: (n, 3, H, W).
            image_sizes: height and width of each key frame without padding; `ref_sizes`: of each
                reference frame, None: the same.
            key_proposals, ref_proposals: used instead of the RPN's own, (k, 4 or 5) per image.
            share: divisors and generators of this micro-batch.

        Returns:
            Terms by name (the same names for every batch), and per sampler the numbers of sampled
            positives and negatives, a row (2,) per call.
        """
        count = len(key_images)
        # One pass over key and reference frames: no layer mixes images, so this equals two passes.
        features = self.features(torch.cat([key_images, ref_images]))
        key_features, ref_features = zip(*(f.split(count) for f in features), strict=True)
        logits, deltas = self.rpn_head(key_features)
        anchors = self.rpn_head.anchors(logits)
        primary = self.roi_head.layout.primary
        losses, rpn_counts = rpn_losses(
            logits,
            deltas,
            anchors,
            [t.boxes[primary] for t in key_targets],
            self.settings.rpn_sampler,
            share,
        )
        if key_proposals is None:
            key_proposals = propose(
                logits, deltas, anchors, image_sizes, self.settings.train_proposals
            )
        if ref_proposals is None:
            ref_proposals, check = self.proposals(ref_features, ref_sizes or image_sizes)
            losses["loss_rpn_cls"] = losses["loss_rpn_cls"] + check
        terms, sampled = self.roi_head.losses(
            FrameBatch(_for_regions(key_features), key_proposals, key_targets),
            FrameBatch(_for_regions(ref_features), ref_proposals, ref_targets),
            share,
        )
        return losses | terms, {"rpn": rpn_counts} | sampled

    @torch.no_grad()
    def proposals(
        self, features: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]
    ) -> tuple[list[Tensor], Tensor]:
        """Proposals (k, 5) per image with the test settings.

        Reference frames use them in training, too (quirk T3). The second value is 0, or NaN where
        an output behind the proposals is not finite.
        """
        logits, deltas = self.rpn_head(features)
        found = propose(
            logits, deltas, self.rpn_head.anchors(logits), image_sizes, self.settings.test_proposals
        )
        return found, zero_if_finite([*logits, *deltas])

    @torch.no_grad()
    def detect(
        self,
        images: Tensor,
        image_sizes: Sequence[tuple[int, int]],
        scales: Tensor,
        settings: InferenceConfig,
    ) -> tuple[list[Detections], list[Tensor]]:
        """Detections of n frames, without masks, and the features to add them from.

        Args:
            images: normalised, (n, 3, H, W).
            image_sizes: height and width of each frame without padding.
            scales: (n, 4) network pixels per original pixel; boxes are given in original pixels.
        """
        features = self.features(images)
        proposals, _ = self.proposals(features, image_sizes)
        features = _for_regions(features)
        found = [
            self.roi_head.detect(_of_image(features, image), *given, settings)
            for image, given in enumerate(zip(proposals, image_sizes, scales, strict=True))
        ]
        return found, features

    @torch.no_grad()
    def add_masks(
        self, features: Sequence[Tensor], found: Sequence[Detections], scales: Tensor
    ) -> list[Detections]:
        """The same detections with masks, for each of n frames; see `RegionHeads.add_masks`."""
        return [
            self.roi_head.add_masks(_of_image(features, image), *given)
            for image, given in enumerate(zip(found, scales, strict=True))
        ]


def _for_regions(features: Sequence[Tensor]) -> list[Tensor]:
    """The same maps; RoIAlign takes no other order in memory, and is called for each head."""
    return [channels_first(level) for level in features]


def _of_image(features: Sequence[Tensor], image: int) -> list[Tensor]:
    return [level[image : image + 1] for level in features]


def build_qdtrack(settings: ModelConfig, backbone: Backbone) -> Detector:
    """Visible boxes and masks only."""
    return Detector(
        settings, backbone, Layout({"visible": "bbox_head"}, {"visible": ("mask_head", "visible")})
    )


def build_amodaltrack(settings: ModelConfig, backbone: Backbone) -> Detector:
    """Amodal boxes and masks only; the same network as QDTrack."""
    return Detector(
        settings, backbone, Layout({"amodal": "bbox_head"}, {"amodal": ("mask_head", "amodal")})
    )


def build_vatrack(settings: ModelConfig, backbone: Backbone) -> Detector:
    """Both masks, in the same amodal boxes."""
    masks: dict[MaskType, tuple[str, MaskType]] = {
        "amodal": ("amodal_mask_head", "amodal"),
        "visible": ("mask_head", "amodal"),
    }
    return Detector(settings, backbone, Layout({"amodal": "bbox_head"}, masks))


def build_vatrack_2bbox(settings: ModelConfig, backbone: Backbone) -> Detector:
    """Both masks, each in a box of its own."""
    boxes: dict[MaskType, str] = {"amodal": "amodal_bbox_head", "visible": "bbox_head"}
    masks: dict[MaskType, tuple[str, MaskType]] = {
        "amodal": ("amodal_mask_head", "amodal"),
        "visible": ("mask_head", "visible"),
    }
    return Detector(settings, backbone, Layout(boxes, masks))


BUILDERS: dict[Method, Callable[[ModelConfig, Backbone], Detector]] = {
    Method.QDTRACK: build_qdtrack,
    Method.AMODALTRACK: build_amodaltrack,
    Method.VATRACK: build_vatrack,
    Method.VATRACK_2BBOX: build_vatrack_2bbox,
}


def build(method: Method, settings: ModelConfig, backbone: Backbone) -> Detector:
    """The network of a method."""
    return BUILDERS[method](settings, backbone)
