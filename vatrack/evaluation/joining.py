"""The results of single videos joined and ranked over all of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.metric_names import TRACK_TYPES
from vatrack.evaluation.ap.image import LIMITS
from vatrack.evaluation.ap.matching import join
from vatrack.evaluation.ap.precision import (
    Metrics,
    average_recall,
    class_metrics,
    precision_by_class,
    precision_curves,
    recall_by_class,
    summarise,
)
from vatrack.evaluation.hidden import join_hidden
from vatrack.evaluation.io.box_fit import BoxFit
from vatrack.evaluation.io.gaps import missing_warnings
from vatrack.evaluation.mot.measures import TrackCounts, track_metrics
from vatrack.evaluation.one_video import Protocol, VideoResult
from vatrack.evaluation.summary import metric_order


@dataclass(frozen=True)
class Evaluation:
    """Everything that an evaluation measured.

    `metrics`: the flat metrics of contract 4, in percent, None where undefined; `per_class`: the
    nine AP metrics (with up to 1000 detections per image and class) and average recall of every
    class with true objects that count, by "image/amodal" and so on, then category id, and the
    metrics of hidden parts by "image/hidden"; `tracking`: counts by class and video, by one of
    `TRACK_TYPES`; `curves`: precision at 101 recalls by "image/amodal" and so on
    (`precision_curves`).
    """

    metrics: Metrics
    per_class: Mapping[str, Mapping[int, Metrics]]
    tracking: Mapping[str, Sequence[TrackCounts]]
    curves: Mapping[str, Mapping[str, list[float | None]]]


def join_results(results: Sequence[VideoResult], protocol: Protocol) -> Evaluation:
    """What the videos of a whole set give together.

    Warns where the boxes of the predictions are not what they should be, or masks are missing.

    Args:
        results: of all videos in their order, which decides between equal scores.
        protocol: how they were evaluated.
    """
    if text := sum((result.boxes for result in results), BoxFit()).warning():
        warnings.warn(text, stacklevel=2)
    mask_types, switches = protocol.mask_types, protocol.switches
    total = sum(result.detections for result in results)
    missing = [result.missing for result in results]
    effect = "their objects count as missed in the metrics of these masks"
    for text in missing_warnings(missing, mask_types, total, protocol.label, effect):
        warnings.warn(text, stacklevel=2)
    metrics: Metrics = {}
    per_class: dict[str, dict[int, Metrics]] = {}
    tracking: dict[str, list[TrackCounts]] = {}
    curves: dict[str, Mapping[str, list[float | None]]] = {}
    image = [f"image/{mask_type}" for mask_type in mask_types]
    if switches.extended:
        image += [f"{level}_box" for level in image]
    video = [f"video/{mask_type}" for mask_type in mask_types]
    for level in image + video:
        limits = LIMITS if level in image else (switches.max_tracks,)
        found = [result.matches[level] for result in results if level in result.matches]
        matches = join(found) if found else None
        precision = precision_by_class(matches, limits) if matches else {}
        of_level = summarise(list(precision.values()))
        curves[level] = precision_curves(list(precision.values()))
        of_class = {category: class_metrics(values) for category, values in precision.items()}
        if switches.extended:
            recall = recall_by_class(matches) if matches else {}
            of_level |= average_recall(list(recall.values()))
            for category, values in recall.items():
                of_class[category] |= average_recall([values])
        metrics |= {f"{level}/{column}": value for column, value in of_level.items()}
        per_class[level] = {
            category: value for category, value in of_class.items() if value["AP"] is not None
        }
    hidden = [result.hidden for result in results if result.hidden is not None]
    if switches.extended and set(mask_types) == set(MASK_TYPES):
        joined = join_hidden(hidden)
        per_class["image/hidden"] = joined.by_class()
        metrics |= {f"image/hidden/{name}": value for name, value in joined.metrics().items()}
    for track_type in (name for name in TRACK_TYPES if name.removesuffix("_box") in mask_types):
        counts = [row for result in results for row in result.tracking.get(track_type, ())]
        tracking[track_type] = sorted(counts, key=lambda row: (row.category, row.video))
        metrics |= {
            f"track/{track_type}/{column}": value if protocol.with_tracks else None
            for column, value in track_metrics(tracking[track_type]).items()
        }
    return Evaluation(
        {key: metrics[key] for key in sorted(metrics, key=metric_order)},
        per_class,
        tracking,
        curves,
    )
