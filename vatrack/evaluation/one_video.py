"""One video evaluated by itself: everything that needs its masks, reduced to what is to be joined
with the other videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vatrack.common.errors import InputError
from vatrack.config import EvaluationConfig
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation.ap.image import LIMITS, frame_box_overlaps, frame_overlaps, image_matches
from vatrack.evaluation.ap.matching import Matches
from vatrack.evaluation.ap.precision import Figures, precision_by_class, summarise
from vatrack.evaluation.ap.video import (
    predicted_tracks,
    track_mask_overlaps,
    track_overlaps,
    video_matches,
)
from vatrack.evaluation.io.ground_truth import Images, read_images, read_objects, read_tracks
from vatrack.evaluation.io.predictions import Predictions, parse_predictions
from vatrack.evaluation.mot.measures import TrackCounts, track_counts, track_figures


@dataclass(frozen=True)
class Part:
    """One video in memory.

    `document`: its joint ground truth (contract 3), complete in itself; `records`: its predictions
    with their numbers, in the order of the file; `tracks`: its given per-video ground truth by kind
    of mask (spec 1.6).
    """

    document: Mapping[str, Any]
    records: Iterable[tuple[int, Any]]
    tracks: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Protocol:
    """How every part is evaluated.

    `kinds` of mask; `switches`; `video_max_occlusion`: exclusive limit of a derived per-video
    ground truth (spec 1.6); `truth`, `unit`, `tracks`: what messages call the ground truth, a
    prediction, and the given per-video ground truths; `details`: whether figures of each video are
    wanted.
    """

    kinds: Sequence[str]
    switches: EvaluationConfig
    video_max_occlusion: float
    truth: str
    unit: str
    tracks: Mapping[str, str]
    details: bool = False


@dataclass(frozen=True)
class PartResult:
    """What one video contributes.

    `images`: their number, `seen`: of those with a detection; `matches`: by "image/amodal",
    "video/amodal" and so on; `tracking`: counts by kind; `detections`: their number; `tracks`:
    number of predicted tracks, `mixed`: of those with detections of more than one class; `figures`:
    by "image/amodal", "video/amodal", "track/amodal" and so on, where details are wanted.
    """

    images: int
    seen: int
    matches: Mapping[str, Matches]
    tracking: Mapping[str, list[TrackCounts]]
    detections: int
    tracks: int
    mixed: int
    figures: Mapping[str, Figures]


def measure_part(
    part: Part, protocol: Protocol, check_only: bool = False
) -> PartResult | InputError:
    """Evaluates one video.

    Args:
        part: the video.
        protocol: how.
        check_only: only the predictions are checked; the result means nothing.

    Returns:
        The result, or what is wrong with the input: of several wrong predictions the first, before
            what is wrong with the
        ground truth. It is not raised, because what comes first in the whole file is only known
        when all parts are done.
    """
    try:
        return _measure(part, protocol, check_only)
    except InputError as error:
        return error


def _measure(part: Part, protocol: Protocol, check_only: bool) -> PartResult:
    images = read_images(part.document, protocol.truth)
    predictions = parse_predictions(part.records, images, protocol.unit)
    matches: dict[str, Matches] = {}
    tracking: dict[str, list[TrackCounts]] = {}
    for kind in () if check_only else protocol.kinds:
        _measure_kind(part, predictions, images, kind, protocol, matches, tracking)
    tracks, mixed = _tracks(predictions)
    figures: dict[str, Figures] = {}
    if protocol.details:
        for level, found in matches.items():
            limits = LIMITS if level.startswith("image/") else (protocol.switches.max_tracks,)
            summary = summarise(list(precision_by_class(found, limits).values()))
            figures[level] = {"AP": summary["AP"], "AP50": summary["AP50"]}
        figures |= {f"track/{kind}": track_figures(counts) for kind, counts in tracking.items()}
    return PartResult(
        len(images.id),
        len(np.unique(predictions.image)),
        matches,
        tracking,
        len(predictions.image),
        tracks,
        mixed,
        figures,
    )


def _measure_kind(
    part: Part,
    predictions: Predictions,
    images: Images,
    kind: str,
    protocol: Protocol,
    matches: dict[str, Matches],
    tracking: dict[str, list[TrackCounts]],
) -> None:
    """Adds the results of one kind of mask."""
    legacy, limit = protocol.switches.legacy_gt_id0, protocol.switches.max_tracks
    objects = read_objects(part.document, images, kind, protocol.truth)
    overlaps = frame_overlaps(predictions, objects, images, kind)
    matches[f"image/{kind}"] = image_matches(
        predictions, objects, overlaps, images, kind, protocol.switches
    )
    tracking[kind] = track_counts(predictions, objects, overlaps, images, kind)
    boxes = frame_box_overlaps(predictions, objects, kind)
    tracking[f"{kind}_box"] = track_counts(predictions, objects, boxes, images, kind)
    tracks = part.tracks.get(kind)
    if tracks is None:
        tracks = video_ground_truth(dict(part.document), kind, protocol.video_max_occlusion)
    true = read_tracks(tracks, images, protocol.tracks.get(kind, protocol.truth))
    predicted = predicted_tracks(predictions, images, kind, limit)
    masks = track_mask_overlaps(predicted, true, predictions, objects, overlaps, images)
    pairs = track_overlaps(predicted, true, masks)
    matches[f"video/{kind}"] = video_matches(predicted, true, pairs, limit, legacy_gt_id0=legacy)


def _tracks(predictions: Predictions) -> tuple[int, int]:
    """Number of tracks of a video, and of those with detections of more than one class."""
    pairs = np.unique(np.stack((predictions.track, predictions.category), 1), axis=0)
    classes = np.unique(pairs[:, 0], return_counts=True)[1]
    return len(classes), int(np.count_nonzero(classes > 1))
