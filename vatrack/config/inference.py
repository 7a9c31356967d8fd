"""Settings of detection, tracking and evaluation (spec 5 and 6)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vatrack.config.base import Fraction, Frozen

SETTINGS_FILE = "inference.yaml"  # beside predictions: the settings that they were made with


class TrackerConfig(Frozen):
    """The quasi-dense tracker (spec 5.1). The defaults are the paper's."""

    init_score: float = Field(0.01, description="a new track needs a higher score")
    obj_score: float = Field(
        0.01, description="a match needs a higher score; also splits the two duplicate thresholds"
    )
    match_score: float = Field(0.5, description="lowest similarity of a match")
    memo_frames: int = Field(32, ge=1, description="frames that a lost track is remembered")
    backdrop_frames: int = Field(1, ge=0, description="frames of backdrops in memory")
    momentum: Fraction = Field(0.8, description="weight of the new embedding (spec I11)")
    nms_conf: float = Field(
        0.5, description="similarity above which a weak match takes no new track"
    )
    nms_backdrop_iou: float = Field(
        0.3, description="overlap with a better box that ends a weak detection or a backdrop"
    )
    nms_class_iou: float = Field(
        0.7, description="overlap with a better box that ends any other detection"
    )
    with_classes: bool = Field(True, description="match within a class only")
    metric: Literal["bisoftmax", "softmax", "cosine"] = Field(
        "bisoftmax", description="similarity of embeddings"
    )


class InferenceConfig(Frozen):
    """Detection at test time (spec 5)."""

    score_threshold: float = Field(0.01, ge=0, description="a detection needs a higher score")
    nms_iou: Fraction = Field(
        0.5, description="overlap within a class above which the better box wins"
    )
    max_detections: int = Field(100, ge=1, description="best detections of a frame that are kept")
    mask_threshold: Fraction = Field(0.5, description="lowest probability of a mask's pixel")
    tracker: TrackerConfig = Field(default_factory=TrackerConfig)


class EvaluationConfig(Frozen):
    """Protocol switches (spec 6 and 8.6)."""

    legacy_gt_id0: bool = Field(
        False, description="reproduce quirk E1: ground truth with id 0 is never matched"
    )
    detection_area: Literal["box", "mask"] = Field(
        "box",
        description="area that decides in which size a detection counts, frame level (quirk E2: "
        "box)",
    )
    max_tracks: int = Field(
        100, ge=1, description="tracks per class and video that count (spec E9)"
    )
    extended: bool = Field(
        True, description="also average recall, AP of boxes, and the quality of hidden parts"
    )
