"""Settings of detection, tracking, evaluation and selection (spec 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from vatrack.common.metric_names import metric_names
from vatrack.common.similar import meant
from vatrack.config.base import Fraction, Frozen, Similarity
from vatrack.config.methods import Method


class TrackerConfig(Frozen):
    """The quasi-dense tracker (spec 5.1). The defaults are the paper's."""

    init_score: Fraction = Field(
        0.01, description="detections must have a higher score to start a track"
    )
    obj_score: Fraction = Field(
        0.01,
        description="detections must have a higher score to continue a track; also decides which "
        "of the two nms_*_iou thresholds applies",
    )
    match_score: Similarity = Field(0.5, description="minimum similarity of a match")
    memo_frames: int = Field(
        32, ge=1, description="number of frames that a lost track is remembered"
    )
    backdrop_frames: int = Field(
        1, ge=0, description="number of frames that unmatched detections (backdrops) are remembered"
    )
    momentum: Fraction = Field(
        0.8, description="weight of the new embedding in the track's running mean (spec I11)"
    )
    nms_conf: Similarity = Field(
        0.5, description="similarity to a track above which a low-score detection is discarded"
    )
    nms_backdrop_iou: Fraction = Field(
        0.3, description="IoU with a better box above which a low-score detection is discarded"
    )
    nms_class_iou: Fraction = Field(
        0.7, description="IoU with a better box above which any other detection is discarded"
    )
    with_classes: bool = Field(True, description="match only within a class")
    metric: Literal["bisoftmax", "softmax", "cosine"] = Field(
        "bisoftmax", description="similarity measure of embeddings"
    )


class InferenceConfig(Frozen):
    """Detection at test time (spec 5)."""

    score_threshold: Fraction = Field(0.01, description="detections must have a higher score")
    nms_iou: Fraction = Field(
        0.5, description="NMS: IoU within a class above which only the better box is kept"
    )
    max_detections: int = Field(100, ge=1, description="maximum number of detections per frame")
    mask_threshold: Fraction = Field(0.5, description="probability threshold of mask pixels")
    tracker: TrackerConfig = Field(default_factory=TrackerConfig)


class EvaluationConfig(Frozen):
    """Evaluation settings (spec 6 and 8.6)."""

    legacy_gt_id0: bool = Field(
        False, description="reproduce quirk E1: never match ground truth with id 0"
    )
    detection_area: Literal["box", "mask"] = Field(
        "box",
        description="area that determines the size group of a detection at frame level (quirk E2: "
        "box)",
    )
    max_tracks: int = Field(
        100, ge=1, description="maximum number of tracks per class and video (spec E9)"
    )
    extended: bool = Field(
        True,
        description="also compute average recall, AP of boxes, and the quality of hidden parts",
    )


class SelectionConfig(Frozen):
    """How the best checkpoint is selected."""

    metric: str | None = Field(
        None,
        description="metric whose best value is chosen, a key of metrics.json: the highest (IDs, "
        "ML, FP, FN: the lowest); null: video AP (image AP without tracks), of amodal masks if the "
        "method predicts them",
    )

    def check(self, methods: Iterable[Method], *, extended: bool) -> None:
        """Refuses a metric that a run will not have, before hours of training.

        Args:
            extended: whether the validation computes the extended metrics.

        Raises:
            ValueError: one of the methods does not have the metric.
        """
        for method in methods if self.metric is not None else ():
            known = metric_names(method.masks, extended=extended)
            if self.metric not in known:
                more = "" if extended else " without evaluation.extended"
                advice = f"give null, or a name of docs/metrics.md, such as {known[0]}"
                hint = meant(str(self.metric), known, advice)
                raise ValueError(f"selection.metric: {method} has no {self.metric!r}{more}{hint}")
