"""All metrics of a set of predictions: image AP, video AP and tracking, by mask type (contract 4).

Every video is evaluated by itself (`vatrack.evaluation.one_video`), in any number of processes;
what comes out is joined in the order of the videos and ranked over all of them, so that the numbers
do not depend on how the work was divided. docs/evaluation.md defines the tracking metrics and says
what evaluation costs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vatrack.common.errors import InputError
from vatrack.common.files import (
    check_target,
    refuse_same_file,
    same_file,
    scratch_directory,
    write_json,
)
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.parallel import ordered_map
from vatrack.common.progress import progress
from vatrack.config import EvaluationConfig
from vatrack.config.dataset import DatasetConfig
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
from vatrack.evaluation.details import detail_document, unique_names
from vatrack.evaluation.hidden import join_hidden
from vatrack.evaluation.io.box_fit import BoxFit
from vatrack.evaluation.io.by_video import (
    objects_by_video,
    read_head,
)
from vatrack.evaluation.io.classes import category_ids
from vatrack.evaluation.io.offsets import Files, VideoOffsets, files_by_video
from vatrack.evaluation.io.prediction_file import PredictionError
from vatrack.evaluation.mot.measures import TrackCounts, track_metrics
from vatrack.evaluation.one_video import Protocol, Video, VideoResult, measure_video
from vatrack.evaluation.summary import TRACK_TYPES, Evaluated, metric_order

VIDEO_MAX_OCCLUSION: float = DatasetConfig().video_limit

Item = TypeVar("Item")
Shared = TypeVar("Shared")


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


def evaluate_files(
    ground_truth: Path,
    predictions: Path,
    video: Mapping[MaskType, Path | None],
    switches: EvaluationConfig,
    out: Path,
    video_max_occlusion: float = VIDEO_MAX_OCCLUSION,
    processes: int = 1,
    details: Path | None = None,
    class_map: Mapping[str, str] | None = None,
) -> Evaluated:
    """Evaluates a file of predictions and writes the flat metrics (contract 4).

    Neither file is ever in memory as a whole: each is read once as a stream, then a video at a
    time. Packed files are unpacked beside `out` for that time.

    Args:
        ground_truth: joint-form JSON, may be gzipped.
        predictions: contract 2.
        video: per-video ground truth by mask type; derived from `ground_truth` where it is None
            or missing.
        switches: protocol switches.
        out: the metrics file.
        video_max_occlusion: exclusive limit of a derived per-video ground truth (spec 1.6).
        processes: processes that work side by side; the results are the same for any number.
        details: a JSON file for the metrics of every class and every video (see
            `details.detail_document`).
        class_map: classes of the predictions to classes of the ground truth (`io.classes`).

    Raises:
        InputError: the classes of the predictions are not those of the ground truth; a file is
            missing, damaged or does not belong to the others. Of several wrong
            predictions the first is named, with its line.
    """
    given = {mask_type: Path(path) for mask_type, path in video.items() if path is not None}
    targets = [check_target(path) for path in (out, details) if path is not None]
    for source in (ground_truth, predictions, *given.values()):
        for target in targets:
            refuse_same_file(source, target)
    if details is not None and same_file(*targets):
        raise InputError(f"{details}: is also --out; choose another file for --details")
    with scratch_directory(out) as scratch:
        head, offsets, found, files = files_by_video(
            Path(ground_truth), Path(predictions), given, scratch
        )
        categories, videos = {}, {}
        if details is not None:  # before the work: names that are there twice would spoil it
            categories = unique_names(head.category_names, "categories", str(ground_truth))
            videos = unique_names(head.video_names, "videos", str(ground_truth))
        names = {mask_type: str(path) for mask_type, path in given.items()}
        mask_types = found.mask_types or tuple(names) or MASK_TYPES
        protocol = Protocol(
            mask_types,
            switches,
            video_max_occlusion,
            str(ground_truth),
            found.label,
            names,
            details=details is not None,
            category_ids=category_ids(
                head.category_names, str(ground_truth), Path(predictions), class_map
            ),
            with_tracks=head.tracks,
        )
        results = _measure_all(offsets, _measure_offsets, (files, protocol), processes, found.wrong)
    evaluation = _join(results, protocol)
    if details is not None:
        by_video = dict(zip(head.heads, (result.metrics for result in results), strict=True))
        document = detail_document(
            evaluation.per_class,
            evaluation.tracking,
            by_video,
            categories,
            videos,
            evaluation.curves,
        )
        write_json(details, document, indent=1)
    write_json(out, evaluation.metrics, indent=1)
    return Evaluated.of(out, evaluation.metrics, results)


def evaluate(
    ground_truth: Mapping[str, Any],
    predictions: Iterable[Mapping[str, Any]],
    video: Mapping[MaskType, Mapping[str, Any]] | None = None,
    switches: EvaluationConfig | None = None,
) -> Metrics:
    """The flat metrics of predictions in memory; see `evaluate_in_detail`."""
    return evaluate_in_detail(ground_truth, predictions, video, switches).metrics


def evaluate_in_detail(
    ground_truth: Mapping[str, Any],
    predictions: Iterable[Mapping[str, Any]],
    video: Mapping[MaskType, Mapping[str, Any]] | None = None,
    switches: EvaluationConfig | None = None,
) -> Evaluation:
    """Evaluates predictions in memory.

    Args:
        ground_truth: joint form (contract 3), not changed.
        predictions: objects of contract 2.
        video: per-video ground truth by mask type; derived where missing.
        switches: protocol switches; the defaults where None.

    Mask types that the predictions do not have are left out. Where there is no prediction at
    all, the mask types of `video` are evaluated, or both if it has none.

    Raises:
        InputError: something is wrong with the input.
    """
    source, label = "ground truth", "prediction"
    head = read_head(ground_truth, source)
    given = {
        mask_type: (f"{mask_type} video ground truth", value)
        for mask_type, value in (video or {}).items()
    }
    videos, found, wrong = objects_by_video(
        ground_truth, head, enumerate(predictions, 1), given, source, label
    )
    names = {mask_type: name for mask_type, (name, _) in given.items()}
    mask_types = found or tuple(names) or MASK_TYPES
    chosen = switches or EvaluationConfig()
    protocol = Protocol(
        mask_types, chosen, VIDEO_MAX_OCCLUSION, source, label, names, with_tracks=head.tracks
    )
    return _join(_measure_all(videos, _measure_objects, protocol, 1, wrong), protocol)


def _measure_objects(task: tuple[Video, bool], protocol: Protocol) -> VideoResult | InputError:
    video, check_only = task
    return measure_video(video, protocol, check_only)


def _measure_offsets(
    task: tuple[VideoOffsets, bool], shared: tuple[Files, Protocol]
) -> VideoResult | InputError:
    (offsets, check_only), (files, protocol) = task, shared
    return measure_video(offsets.load(files), protocol, check_only)


def _measure_all(
    items: Sequence[tuple[int, Item]],
    work: Callable[[tuple[Item, bool], Shared], VideoResult | InputError],
    shared: Shared,
    processes: int,
    wrong: PredictionError | None,
) -> list[VideoResult]:
    """The results of all videos in order.

    Args:
        items: the number of the first prediction of each video, and the video.
        work: evaluates a video, or only checks its predictions.
        shared: what `work` needs beside it.
        processes: how many work side by side.
        wrong: what is known to be wrong with a prediction.

    Raises:
        InputError: the first wrong prediction, or else what is wrong with the ground truth of the
            first such video: the same for any number of processes.
    """
    worst: InputError | None = wrong

    def tasks() -> Iterator[tuple[Item, bool]]:
        for first, item in items:
            # Once something is wrong, only wrong predictions further up are still of interest.
            if not isinstance(worst, PredictionError) or first < worst.number:
                yield item, worst is not None

    results = []
    for result in progress(
        ordered_map(work, tasks(), processes, shared), "evaluation, videos", len(items)
    ):
        if isinstance(result, VideoResult):
            results.append(result)
        elif _before(result, worst):
            worst = result
    if worst is not None:
        raise worst
    if text := sum((result.boxes for result in results), BoxFit()).warning():
        warnings.warn(text, stacklevel=2)
    return results


def _before(error: InputError, worst: InputError | None) -> bool:
    """Whether an error is to be reported rather than the worst so far (of an earlier video)."""
    if worst is None or not isinstance(error, PredictionError):
        return worst is None
    return not isinstance(worst, PredictionError) or error.number < worst.number


def _join(results: Sequence[VideoResult], protocol: Protocol) -> Evaluation:
    mask_types, switches = protocol.mask_types, protocol.switches
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
