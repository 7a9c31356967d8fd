"""What predictions that are the ground truth itself must reach, known without evaluating them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.metric_names import (
    AP_COLUMNS,
    AR_COLUMNS,
    AR_LIMITS,
    HIDDEN_COLUMNS,
    TRACK_COLUMNS,
)
from vatrack.common.rle import Bools, Ints
from vatrack.data.fields import lacks_tracks
from vatrack.evaluation.ap.matching import SETTINGS, count_earlier, ignored_truths
from vatrack.evaluation.ap.precision import Metrics
from vatrack.evaluation.file_set import VIDEO_MAX_OCCLUSION
from vatrack.evaluation.hidden import RANGES
from vatrack.evaluation.io.ground_truth import TrueObjects, read_images, read_objects
from vatrack.evaluation.io.true_tracks import tracks_of
from vatrack.evaluation.summary import metric_order


def perfect_metrics(document: Mapping[str, Any], source: str) -> Metrics:
    """What perfect predictions must reach: 100 where an object counts, None where there is none.

    Nothing is matched here; only objects are counted. Average recall is less where more objects of
    a class than are read are in an image or video. Left out are a mask type that is empty
    somewhere, which nothing can find, and the video metrics where a mask is hidden so much that the
    tracks of the ground truth lack it. (Where three objects of a class almost cover each other, P,
    H, L, M, S may be less.)

    Raises:
        InputError: the ground truth is damaged or has no object.
    """
    images = read_images(document, source)
    metrics: Metrics = {}
    whole: dict[MaskType, TrueObjects] = {}
    for mask_type in MASK_TYPES:
        objects = read_objects(document, images, mask_type, source)
        if not len(objects.id):
            raise InputError(f"{source}: no annotations; use a ground truth with objects")
        if not objects.area.all():
            continue
        whole[mask_type] = objects
        classes = len(images.categories)
        ignored = ignored_truths(objects.area, objects.rate, objects.crowd)
        category = objects.masks.category
        for level in (f"image/{mask_type}", f"image/{mask_type}_box"):
            metrics |= _precision(level, ignored)
            metrics |= _recall(level, objects.masks.image * classes + category, category, ignored)
        tracks = tracks_of(objects, images, VIDEO_MAX_OCCLUSION)
        if len(tracks.track) == len(objects.id):
            level = f"video/{mask_type}"
            ignored = ignored_truths(tracks.area, tracks.rate, tracks.crowd)
            order = np.unique(tracks.video, return_inverse=True)[1]
            metrics |= _precision(level, ignored)
            metrics |= _recall(level, order * classes + tracks.category, tracks.category, ignored)
        video = images.video[objects.masks.image]
        number = len(
            np.unique(np.stack((video, objects.instance, objects.masks.category)), axis=1).T
        )
        known = {"IDs": 0, "ML": 0, "FP": 0, "FN": 0, "MT": number}
        for name in (mask_type, f"{mask_type}_box"):
            metrics |= {
                f"track/{name}/{column}": known.get(column, 100.0) for column in TRACK_COLUMNS
            }
    if len(whole) == len(MASK_TYPES):
        metrics |= _hidden(whole)
    if lacks_tracks(document["videos"]):
        metrics = {
            key: value if key.startswith("image/") else None for key, value in metrics.items()
        }
    return {key: metrics[key] for key in sorted(metrics, key=metric_order)}


def _precision(prefix: str, ignored: Bools) -> Metrics:
    metrics: Metrics = {}
    for setting, counted in zip(SETTINGS, np.atleast_1d((~ignored).any(0)), strict=True):
        names = ("AP", "AP50", "AP75") if setting is SETTINGS[0] else (f"AP50_{setting.name}",)
        metrics |= dict.fromkeys(names, 100.0 if counted else None)
    return {f"{prefix}/{column}": metrics[column] for column in AP_COLUMNS}


def _recall(prefix: str, scope: Ints, category: Ints, ignored: Bools) -> Metrics:
    """Of objects with equal scores, in the order in which they rank; `scope`: of image and class,
    or video and class."""
    counts = ~ignored[:, 0]
    rank = count_earlier(scope)
    classes = np.unique(category[counts])
    metrics: Metrics = {}
    for column, limit in zip(AR_COLUMNS, AR_LIMITS, strict=True):
        shares = [float((rank < limit)[counts & (category == one)].mean()) for one in classes]
        metrics[f"{prefix}/{column}"] = 100 * sum(shares) / len(shares) if shares else None
    return metrics


def _hidden(objects: Mapping[MaskType, TrueObjects]) -> Metrics:
    """Of visible masks that lie in the amodal ones."""
    amodal, visible = objects["amodal"], objects["visible"]
    rates = amodal.rate[(amodal.mask_area > visible.mask_area) & ~amodal.crowd]
    ranges = ((0.0, 1.0), *RANGES.values(), (0.0, 1.0))
    return {
        f"image/hidden/{column}": 100.0 if ((rates >= low) & (rates <= high)).any() else None
        for column, (low, high) in zip(HIDDEN_COLUMNS, ranges, strict=True)
    }
