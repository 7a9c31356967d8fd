"""Metrics of every class and every video, for tables (`vatrack evaluate --details`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vatrack.common.errors import InputError
from vatrack.evaluation.ap.precision import Metrics
from vatrack.evaluation.mot.measures import TrackCounts, track_metrics_by_class


def detail_document(
    per_class: Mapping[str, Mapping[int, Metrics]],
    tracking: Mapping[str, Sequence[TrackCounts]],
    per_video: Mapping[int, Mapping[str, Metrics]],
    categories: Mapping[int, str],
    videos: Mapping[int, str],
    curves: Mapping[str, Mapping[str, Sequence[float | None]]],
) -> dict[str, Any]:
    """The metrics by name.

    Args:
        per_class: by "image/amodal" and so on, then category id: AP, AP50, ... with up to 1000
            detections per image and class; only classes with true objects that count.
        tracking: counts by type of track (`TRACK_TYPES`).
        per_video: by video id, then "image/amodal" (AP, AP50), "video/amodal" (the same),
            "track/amodal" and so on. A video's AP is the mean over the classes that have true
            objects in it, with its own detections alone.
        categories, videos: names by id, from `unique_names`.
        curves: by "image/amodal" and so on, from `ap.precision.precision_curves`.

    Returns:
        {"per_class": {"image/amodal": {category name: {AP, AP50, ...}}, ..., "track/amodal":
        {category name: {MOTA, ...}}}, "per_video": {video name: {"image/amodal": {AP, AP50},
        ..., "track/amodal": {MOTA, ...}}}, "classes": [names in the order of the ground truth],
        "curves": {"image/amodal": {"IoU50": [...], "IoU75": [...]}, ...}}; metrics in percent,
        None where undefined.
    """
    by_class = {
        **per_class,
        **{
            f"track/{mask_type}": track_metrics_by_class(counts)
            for mask_type, counts in tracking.items()
        },
    }
    return {
        "per_class": {
            level: {
                categories[category]: dict(metrics) for category, metrics in sorted(classes.items())
            }
            for level, classes in by_class.items()
        },
        "per_video": {
            videos[video]: {level: dict(values) for level, values in levels.items()}
            for video, levels in per_video.items()
        },
        "classes": list(categories.values()),
        "curves": {level: dict(values) for level, values in curves.items()},
    }


RENAME = "give each item a name of its own"


def unique_names(names: Mapping[int, Any], where: str, source: str) -> dict[int, str]:
    """Names of classes or videos by id, as texts; `where` and `source` name list and file in
    messages.

    Raises:
        InputError: two have the same name, or a name is not a text.
    """
    known: dict[str, int] = {}
    for number, name in names.items():
        if not isinstance(name, str | int):
            raise InputError(
                f"{source}: the name of item {number} of '{where}' is not a string; {RENAME}"
            )
        if known.setdefault(str(name), number) != number:
            raise InputError(
                f"{source}: items {known[str(name)]} and {number} of '{where}' are both named "
                f"'{name}'; {RENAME}"
            )
    return {number: name for name, number in known.items()}
