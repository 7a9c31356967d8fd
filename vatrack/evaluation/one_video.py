"""One video evaluated by itself: everything that needs its masks, reduced to what is to be joined
with the other videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.config import EvaluationConfig
from vatrack.evaluation.ap.image import LIMITS, frame_box_overlaps, frame_overlaps, image_matches
from vatrack.evaluation.ap.matching import Matches
from vatrack.evaluation.ap.overlaps import Overlaps
from vatrack.evaluation.ap.precision import Metrics, precision_by_class, summarise
from vatrack.evaluation.ap.video import (
    predicted_tracks,
    track_mask_overlaps,
    track_overlaps,
    video_matches,
)
from vatrack.evaluation.hidden import HiddenCounts, hidden_counts
from vatrack.evaluation.io.box_fit import BoxFit, box_fit
from vatrack.evaluation.io.gaps import Missing, missing_masks
from vatrack.evaluation.io.ground_truth import Images, TrueObjects, read_images, read_objects
from vatrack.evaluation.io.predictions import Predictions, parse_predictions
from vatrack.evaluation.io.true_tracks import read_tracks, refuse_other_masks, tracks_of
from vatrack.evaluation.mot.measures import TrackCounts, track_counts, track_metrics


@dataclass(frozen=True)
class Video:
    """One video in memory.

    `document`: its joint ground truth (contract 3), complete in itself; `predictions`: its
    predictions with their numbers, in the order of the file; `tracks`: its given per-video ground
    truth by mask type (spec 1.6).
    """

    document: Mapping[str, Any]
    predictions: Iterable[tuple[int, Any]]
    tracks: Mapping[MaskType, Mapping[str, Any]]


@dataclass(frozen=True)
class Protocol:
    """How every video is evaluated.

    `mask_types`; `switches`; `video_max_occlusion`: exclusive limit of a derived per-video
    ground truth (spec 1.6); `truth`, `label`, `tracks`: what messages call the ground truth, a
    prediction, and the given per-video ground truths; `details`: whether metrics of each video are
    wanted; `category_ids`: those of predictions to those of the ground truth, where they differ;
    `with_tracks`: whether tracks are known, and measured.
    """

    mask_types: Sequence[MaskType]
    switches: EvaluationConfig
    video_max_occlusion: float
    truth: str
    label: str
    tracks: Mapping[MaskType, str]
    details: bool = False
    category_ids: Mapping[int, int | None] | None = None
    with_tracks: bool = True


@dataclass(frozen=True)
class VideoResult:
    """What one video contributes.

    `images`: their number, `seen`: of those with a detection; `matches`: by "image/amodal",
    "video/amodal", with the extended metrics also "image/amodal_box", and so on; `tracking`: counts
    by type of track ("amodal", "amodal_box", ...); `hidden`: where they are measured, those of the
    hidden parts; `detections`: their number, `left_out`: of those of classes that are not wanted;
    `tracks`: number of predicted tracks, `mixed`: of those with detections of more than one class;
    `metrics`: by "image/amodal", "video/amodal", "track/amodal" and so on, where details are
    wanted; `boxes`: whether the boxes can be what they should be; `missing`: the predictions
    without a mask, by the type that they lack.
    """

    images: int
    seen: int
    matches: Mapping[str, Matches]
    tracking: Mapping[str, list[TrackCounts]]
    hidden: HiddenCounts | None
    detections: int
    left_out: int
    tracks: int
    mixed: int
    metrics: Mapping[str, Metrics]
    boxes: BoxFit
    missing: Mapping[MaskType, Missing]


def measure_video(
    video: Video, protocol: Protocol, check_only: bool = False
) -> VideoResult | InputError:
    """Evaluates one video.

    Args:
        video: the video.
        protocol: how.
        check_only: only the predictions are checked; the result means nothing.

    Returns:
        The result, or what is wrong with the input: of several wrong predictions the first, before
        what is wrong with the ground truth. It is not raised, because what comes first in the
        whole file is only known when all videos are done.
    """
    try:
        return _measure(video, protocol, check_only)
    except InputError as error:
        return error


def _measure(video: Video, protocol: Protocol, check_only: bool) -> VideoResult:
    images = read_images(video.document, protocol.truth)
    predictions = parse_predictions(
        video.predictions, images, protocol.label, protocol.category_ids
    )
    matches: dict[str, Matches] = {}
    tracking: dict[str, list[TrackCounts]] = {}
    found: dict[MaskType, tuple[TrueObjects, Overlaps]] = {}
    for mask_type in () if check_only else protocol.mask_types:
        found[mask_type] = _measure_mask_type(
            video, predictions, images, mask_type, protocol, matches, tracking
        )
    hidden = None
    if protocol.switches.extended and len(found) == len(MASK_TYPES):
        visible, overlaps = found["visible"]
        hidden = hidden_counts(predictions, found["amodal"][0], visible, overlaps, images)
    tracks, mixed = _tracks(predictions)
    metrics: dict[str, Metrics] = {}
    if protocol.details:
        for level, matched in matches.items():
            limits = LIMITS if level.startswith("image/") else (protocol.switches.max_tracks,)
            summary = summarise(list(precision_by_class(matched, limits).values()))
            metrics[level] = {"AP": summary["AP"], "AP50": summary["AP50"]}
        metrics |= {
            f"track/{mask_type}": track_metrics(counts) for mask_type, counts in tracking.items()
        }
        if hidden is not None:
            metrics["image/hidden"] = hidden.metrics()
    return VideoResult(
        len(images.id),
        len(np.unique(predictions.image)),
        matches,
        tracking,
        hidden,
        len(predictions.image),
        predictions.left_out,
        tracks,
        mixed,
        metrics,
        BoxFit() if check_only else box_fit(predictions, images),
        missing_masks(predictions),
    )


def _measure_mask_type(
    video: Video,
    predictions: Predictions,
    images: Images,
    mask_type: MaskType,
    protocol: Protocol,
    matches: dict[str, Matches],
    tracking: dict[str, list[TrackCounts]],
) -> tuple[TrueObjects, Overlaps]:
    """Adds the results of one mask type; returns its objects and the overlaps of their masks."""
    legacy, limit = protocol.switches.legacy_gt_id0, protocol.switches.max_tracks
    objects = read_objects(video.document, images, mask_type, protocol.truth)
    overlaps = frame_overlaps(predictions, objects, images, mask_type)
    matches[f"image/{mask_type}"] = image_matches(
        predictions, objects, overlaps, images, mask_type, protocol.switches
    ).with_categories(images.categories)
    boxes = frame_box_overlaps(predictions, objects, mask_type)
    if protocol.switches.extended:
        box_matches = image_matches(
            predictions, objects, boxes, images, mask_type, protocol.switches, boxes=True
        )
        matches[f"image/{mask_type}_box"] = box_matches.sharing(matches[f"image/{mask_type}"])
    if not protocol.with_tracks:
        return objects, overlaps
    tracking[mask_type] = track_counts(predictions, objects, overlaps, images, mask_type)
    tracking[f"{mask_type}_box"] = track_counts(predictions, objects, boxes, images, mask_type)
    tracks = video.tracks.get(mask_type)
    if tracks is None:
        true = tracks_of(objects, images, protocol.video_max_occlusion)
    else:
        source = protocol.tracks.get(mask_type, protocol.truth)
        true = read_tracks(tracks, images, source)
        refuse_other_masks(true, objects, video.document, images, mask_type, source, protocol.truth)
    predicted = predicted_tracks(predictions, images, mask_type, limit)
    masks = track_mask_overlaps(predicted, true, predictions, objects, overlaps, images)
    pairs = track_overlaps(predicted, true, masks)
    matches[f"video/{mask_type}"] = video_matches(
        predicted, true, pairs, limit, legacy_gt_id0=legacy
    ).with_categories(images.categories)
    return objects, overlaps


def _tracks(predictions: Predictions) -> tuple[int, int]:
    """Number of tracks of a video, and of those with detections of more than one class."""
    pairs = np.unique(np.stack((predictions.track, predictions.category), 1), axis=0)
    classes = np.unique(pairs[:, 0], return_counts=True)[1]
    return len(classes), int(np.count_nonzero(classes > 1))
