"""All metrics of one set of predictions: image AP, video AP and tracking figures, for each kind of mask (contract 4).

docs/evaluation.md defines the tracking figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.config import EvaluationConfig
from vatrack.config.dataset import DatasetConfig
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation.ground_truth import KINDS, Images, read_images, read_objects, read_tracks
from vatrack.evaluation.image import frame_box_overlaps, frame_overlaps, image_precision
from vatrack.evaluation.matching import class_figures, summarise
from vatrack.evaluation.mot import TrackCounts, track_counts, track_figures
from vatrack.evaluation.predictions import Predictions, parse_predictions, read_predictions
from vatrack.evaluation.video import predicted_tracks, track_overlaps, video_precision
from vatrack.files import read_json, write_json

VIDEO_MAX_OCCLUSION: float = DatasetConfig().video_limit  # type: ignore[call-arg]
AP_COLUMNS = ("AP", "AP50", "AP75", "AP50_P", "AP50_OM", "AP50_H", "AP50_L", "AP50_M", "AP50_S")
TRACK_COLUMNS = ("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDs", "MT", "ML", "FP", "FN")
TRACK_KINDS = (*KINDS, *(f"{kind}_box" for kind in KINDS))  # overlaps are those of masks or of boxes

Metrics = dict[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """Everything that an evaluation measured.

    `metrics`: the flat figures of contract 4, in percent, None where undefined; `per_class`: AP and AP50 of every class with
    true objects that count, by "image/amodal" and so on, then category id; `tracking`: counts by class and video, by one of
    `TRACK_KINDS`.
    """

    metrics: Metrics
    per_class: Mapping[str, Mapping[int, Metrics]]
    tracking: Mapping[str, Sequence[TrackCounts]]


def evaluate_files(
    ground_truth: Path,
    predictions: Path,
    video: Mapping[str, Path | None],
    switches: EvaluationConfig,
    out: Path,
    video_max_occlusion: float = VIDEO_MAX_OCCLUSION,
) -> str:
    """Evaluates a file of predictions and writes the flat metrics (contract 4).

    Args:
        ground_truth: joint-form JSON, may be gzipped.
        predictions: contract 2.
        video: per-video ground truth by kind of mask; derived from `ground_truth` where it is None or missing.
        switches: protocol switches.
        out: the metrics file.
        video_max_occlusion: exclusive limit of a derived per-video ground truth (spec 1.6).

    Returns:
        A table of the metrics.

    Raises:
        InputError: a file is missing, damaged or does not belong to the others.
    """
    document = read_json(ground_truth)
    images = read_images(document, str(ground_truth))
    found = read_predictions(predictions, images)
    given = {kind: (str(path), read_json(path)) for kind, path in video.items() if path is not None}
    metrics = _evaluate(document, images, found, switches, given, str(ground_truth), video_max_occlusion).metrics
    write_json(out, metrics, indent=1)
    return f"wrote {out}\n\n{format_metrics(metrics)}"


def evaluate(
    ground_truth: Mapping[str, Any],
    predictions: Iterable[Mapping[str, Any]],
    video: Mapping[str, Mapping[str, Any]] | None = None,
    switches: EvaluationConfig | None = None,
) -> Metrics:
    """The flat metrics of predictions in memory; see `evaluate_in_detail`."""
    return evaluate_in_detail(ground_truth, predictions, video, switches).metrics


def evaluate_in_detail(
    ground_truth: Mapping[str, Any],
    predictions: Iterable[Mapping[str, Any]],
    video: Mapping[str, Mapping[str, Any]] | None = None,
    switches: EvaluationConfig | None = None,
) -> Evaluation:
    """Evaluates predictions in memory.

    Args:
        ground_truth: joint form (contract 3), not changed.
        predictions: objects of contract 2.
        video: per-video ground truth by kind of mask; derived where missing.
        switches: protocol switches; the defaults where None.

    Kinds of mask that the predictions do not have are left out. Where there is no prediction at all, the kinds of `video`
    are evaluated, or both if it has none.

    Raises:
        InputError: something is wrong with the input.
    """
    images = read_images(ground_truth, "ground truth")
    found = parse_predictions(enumerate(predictions, 1), images)
    given = {kind: (f"{kind} video ground truth", value) for kind, value in (video or {}).items()}
    return _evaluate(ground_truth, images, found, switches or EvaluationConfig(), given, "ground truth", VIDEO_MAX_OCCLUSION)


def _evaluate(
    document: Mapping[str, Any],
    images: Images,
    predictions: Predictions,
    switches: EvaluationConfig,
    video: Mapping[str, tuple[str, Any]],
    source: str,
    video_max_occlusion: float,
) -> Evaluation:
    metrics: Metrics = {}
    per_class: dict[str, dict[int, Metrics]] = {}
    tracking: dict[str, list[TrackCounts]] = {}
    legacy = switches.legacy_gt_id0
    for kind in predictions.kinds if len(predictions.image) or not video else tuple(video):
        objects = read_objects(document, images, kind, source)
        overlaps = frame_overlaps(predictions, objects, images, kind)
        precisions = {f"image/{kind}": image_precision(predictions, objects, overlaps, kind, legacy_gt_id0=legacy)}
        tracking[kind] = track_counts(predictions, objects, overlaps, images, kind)
        boxes = frame_box_overlaps(predictions, objects, kind)
        tracking[f"{kind}_box"] = track_counts(predictions, objects, boxes, images, kind)

        name, tracks = video.get(kind) or (source, video_ground_truth(dict(document), kind, video_max_occlusion))
        true = read_tracks(tracks, images, name)
        predicted = predicted_tracks(predictions, images, kind, switches.max_tracks)
        pairs = track_overlaps(predicted, true, images)
        precisions[f"video/{kind}"] = video_precision(predicted, true, pairs, switches.max_tracks, legacy_gt_id0=legacy)

        for level, by_class in precisions.items():
            metrics |= {f"{level}/{column}": value for column, value in summarise(list(by_class.values())).items()}
            figures = {category: class_figures(values) for category, values in by_class.items()}
            per_class[level] = {category: value for category, value in figures.items() if value["AP"] is not None}
    for kind, counts in tracking.items():
        metrics |= {f"track/{kind}/{column}": value for column, value in track_figures(counts).items()}
    return Evaluation({key: metrics[key] for key in sorted(metrics, key=_place)}, per_class, tracking)


def _place(key: str) -> tuple[int, ...]:
    level, kind, column = key.split("/")
    columns = AP_COLUMNS + TRACK_COLUMNS
    return ("image", "video", "track").index(level), TRACK_KINDS.index(kind), columns.index(column)


def format_metrics(metrics: Metrics) -> str:
    """A plain table of the flat metrics for a terminal; a dash where a figure is undefined."""
    lines = []
    for columns, levels in ((AP_COLUMNS, ("image", "video")), (TRACK_COLUMNS, ("track",))):
        rows = [f"{level}/{kind}" for level in levels for kind in TRACK_KINDS if f"{level}/{kind}/{columns[0]}" in metrics]
        lines.append(f"{'':17}" + "".join(f"{column:>9}" for column in columns))
        lines += [f"{row:17}" + "".join(f"{_shown(metrics[f'{row}/{column}']):>9}" for column in columns) for row in rows]
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.1f}"
