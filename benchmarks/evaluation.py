"""Evaluation from the files to the metrics: image AP, video AP, tracking, and the share of reading.

Image AP is held against pycocotools' COCOeval, video AP against merging the masks of every pair of
tracks, as published. Each begins with the files, packed as `vatrack predict` writes them; all come
to the same metrics, or the benchmark fails.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Case, Subject, Watch, Work
from vatrack.common.mask_types import MASK_TYPES
from vatrack.config import EvaluationConfig

READING, COMPUTING = "reading", "computing"
SETTINGS = EvaluationConfig()


def cases(size: str) -> list[Case]:
    """Each level alone, then what `vatrack evaluate` does: all of them together."""
    clips = {"tiny": 1, "small": 2, "full": 40}[size]
    names = {
        "image AP": ("plain", "fast"),
        "video AP": ("plain", "fast"),
        "tracking": ("fast",),
        "vatrack evaluate": ("fast",),
    }
    return [
        Case(name, clips, ways, data="set", options={"what": name, "clips": clips})
        for name, ways in names.items()
    ]


def make(case: Case, folder: Path) -> None:
    """Ground truth and predictions."""
    from benchmarks.made.predictions import OUTLINES, write_set

    clips = case.options["clips"]
    write_set(folder, clips, 1, OUTLINES if clips > 1 else 20)  # drawing all takes seconds


def prepare(case: Case, folder: Path, way: str) -> Work:
    """A round goes from the files to the metrics."""
    work = WORK[case.options["what"], way]
    return lambda watch: work(folder, watch)


def videos(folder: Path, watch: Watch) -> Iterator[tuple[Any, Any, Any]]:
    """The images, checked predictions and objects of every video, as `vatrack evaluate` reads
    them."""
    from vatrack.evaluation.io.ground_truth import read_images, read_objects
    from vatrack.evaluation.io.offsets import files_by_video
    from vatrack.evaluation.io.predictions import parse_predictions

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        with watch.stage(READING):
            _, offsets, found, files = files_by_video(
                folder / "joint.json", folder / "predictions.jsonl.gz", {}, Path(scratch)
            )
        for _, video in offsets:
            with watch.stage(READING):
                content = video.load(files)
                images = read_images(content.document, "truth")
                predictions = parse_predictions(content.predictions, images, found.label)
                objects = {
                    mask_type: read_objects(content.document, images, mask_type, "truth")
                    for mask_type in MASK_TYPES
                }
            yield images, predictions, objects


def image_ap(folder: Path, watch: Watch) -> Sequence[float]:
    """Image AP of both masks."""
    from vatrack.evaluation.ap.image import LIMITS, frame_overlaps, image_matches
    from vatrack.evaluation.ap.matching import join
    from vatrack.evaluation.ap.precision import precision_by_class, summarise

    matches: dict[str, list[Any]] = {mask_type: [] for mask_type in MASK_TYPES}
    for images, predictions, objects in videos(folder, watch):
        for mask_type in MASK_TYPES:
            with watch.stage(COMPUTING):
                true = objects[mask_type]
                overlaps = frame_overlaps(predictions, true, images, mask_type)
                matches[mask_type].append(
                    image_matches(predictions, true, overlaps, images, mask_type, SETTINGS)
                )
    with watch.stage(COMPUTING):
        return _flat(
            summarise(list(precision_by_class(join(matches[mask_type]), LIMITS).values()))
            for mask_type in MASK_TYPES
        )


def coco(folder: Path, watch: Watch) -> Sequence[float]:
    """The same by pycocotools, with the areas that ours uses."""
    from benchmarks.plain_evaluation import coco_metrics, read_all
    from tests.evaluation.coco import coco_judge

    with watch.stage(READING):
        document, predictions = read_all(folder)
        judges = [
            coco_judge(document, predictions, mask_type, (100, 1000)) for mask_type in MASK_TYPES
        ]
    with watch.stage(COMPUTING), contextlib.redirect_stdout(io.StringIO()):
        return _flat(coco_metrics(judge) for judge in judges)


def video_ap(folder: Path, watch: Watch) -> Sequence[float]:
    """Video AP of both masks, without image AP, whose overlaps `vatrack evaluate` uses again."""
    from vatrack.evaluation.ap.matching import join
    from vatrack.evaluation.ap.precision import precision_by_class, summarise
    from vatrack.evaluation.ap.video import (
        compare_masks,
        possible_masks,
        predicted_tracks,
        track_overlaps,
        video_matches,
    )
    from vatrack.evaluation.io.true_tracks import tracks_of

    matches: dict[str, list[Any]] = {mask_type: [] for mask_type in MASK_TYPES}
    found: list[float] = []
    for images, predictions, objects in videos(folder, watch):
        for mask_type in MASK_TYPES:
            with watch.stage(READING):
                true = tracks_of(objects[mask_type], images, 0.75)
            with watch.stage(COMPUTING):
                predicted = predicted_tracks(predictions, images, mask_type, 100)
                possible = possible_masks(predicted, true)
                shared = compare_masks(predicted, true, *possible, images.size)
                pairs = track_overlaps(predicted, true, shared)
                matches[mask_type].append(
                    video_matches(predicted, true, pairs, 100, legacy_gt_id0=False)
                )
            found += [len(pairs.iou), float(pairs.iou.sum())]
    with watch.stage(COMPUTING):
        for mask_type in MASK_TYPES:
            summarise(list(precision_by_class(join(matches[mask_type]), (100,)).values()))
    return found


def pairwise(folder: Path, watch: Watch) -> Sequence[float]:
    """The overlaps of all pairs of tracks, without the matching after it (which flatters it)."""
    from benchmarks.plain_evaluation import high_overlaps, predicted_tracks, read_all, true_tracks

    with watch.stage(READING):
        document, predictions = read_all(folder)
        true = {mask_type: true_tracks(document, mask_type) for mask_type in MASK_TYPES}
        predicted = {
            mask_type: predicted_tracks(document, predictions, mask_type)
            for mask_type in MASK_TYPES
        }
    found: list[float] = []
    with watch.stage(COMPUTING):
        for video in document["videos"]:
            for mask_type in MASK_TYPES:
                high: list[float] = []
                for category in document["categories"]:
                    key = video["id"], category["id"]
                    high += high_overlaps(
                        predicted[mask_type].get(key, []), true[mask_type].get(key, [])
                    )
                found += [len(high), sum(high)]
    return found


def tracking(folder: Path, watch: Watch) -> Sequence[float]:
    """Tracking metrics of masks and boxes."""
    from vatrack.evaluation.ap.image import frame_box_overlaps, frame_overlaps
    from vatrack.evaluation.mot.measures import track_counts, track_metrics

    counts: dict[str, list[Any]] = {}
    for images, predictions, objects in videos(folder, watch):
        for mask_type in MASK_TYPES:
            true = objects[mask_type]
            with watch.stage(COMPUTING):
                masks = frame_overlaps(predictions, true, images, mask_type)
                boxes = frame_box_overlaps(predictions, true, mask_type)
                for name, overlaps in ((mask_type, masks), (f"{mask_type}_box", boxes)):
                    counts.setdefault(name, []).extend(
                        track_counts(predictions, true, overlaps, images, mask_type)
                    )
    with watch.stage(COMPUTING):
        return _flat(track_metrics(rows) for rows in counts.values())


def evaluate(folder: Path, _: Watch) -> Sequence[float]:
    """Everything, in one process."""
    from vatrack.common.value_files import read_json
    from vatrack.evaluation.evaluate import evaluate_inputs
    from vatrack.evaluation.file_set import EvaluationInputs

    out = folder / "metrics.json"
    truth, found = folder / "joint.json", folder / "predictions.jsonl.gz"
    evaluate_inputs(EvaluationInputs(truth, found, switches=SETTINGS), out)
    return _flat([read_json(out)])


def _flat(summaries: Iterator[Mapping[str, float | None]] | list[Any]) -> list[float]:
    """All metrics in the order of their names; NaN where undefined."""
    return [
        np.nan if value is None else value
        for metrics in summaries
        for _, value in sorted(metrics.items())
    ]


WORK: dict[tuple[str, str], Callable[[Path, Watch], Sequence[float]]] = {
    ("image AP", "plain"): coco,
    ("image AP", "fast"): image_ap,
    ("video AP", "plain"): pairwise,
    ("video AP", "fast"): video_ap,
    ("tracking", "fast"): tracking,
    ("vatrack evaluate", "fast"): evaluate,
}

SUBJECT = Subject(
    about="From the files to the metrics of both masks, and the share of reading in it.",
    unit="clip",
    plain="pycocotools' COCOeval; the masks of every pair of tracks merged frame by frame",
    cases=cases,
    prepare=prepare,
    make=make,
    tolerance=1e-9,
)
