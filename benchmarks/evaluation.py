"""What evaluation costs, how it grows, and how it compares with pycocotools and with merging masks
pair by pair.

    python benchmarks/evaluation.py [--sizes 10 40 160 989] [--baseline 40] [--processes 2]
    [--rounds 2] [--folder DIR] [--keep]

A size is a number of clips; 989 clips have 26,873 frames, as many as SAIL-VOS-cut's valid set. For
each a ground truth and predictions are made on disk (see `evaluation_data.py`: two masks each,
about 12 objects and 100 detections a frame). Then

    all        `vatrack evaluate --processes N`: from the files to all figures, image AP, video AP
    and tracking of both masks image AP, video AP, MOT    one of them alone, both masks, one
    process, also from the files

in fresh processes: seconds from start to end, of these without reading (what is between the checked
columns in memory and the figures), and the peak memory of all processes together. One row more is

    video AP added    what `vatrack evaluate` spends on video AP, which it computes after image AP:
    its tracks use the overlaps
                      of the frames. Measured within one process from these overlaps on; making them
                      is not in "without reading"

Up to `--baseline` clips the same is done by

    COCOeval   pycocotools, the same seven settings: its four area ranges in one evaluation, then
        the three occlusion ranges
               with the masks' overlaps of that evaluation used again (which flatters it). The
               reading is one parsed line after another into its own index.
    pair       as published: for each pair of a predicted and a true track of a class and video, the
        best 100 tracks each, the
               masks of every frame are merged twice with pycocotools, to intersection and union.
               The reading is as for COCOeval. No matching comes after it (which flatters it, too).

and both must come to the same figures, else the benchmark ends with an error. The best of some
rounds counts, taken in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from processes import run

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests

KINDS = ("amodal", "visible")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[10, 40, 160, 989], help="numbers of clips"
    )
    parser.add_argument(
        "--baseline", type=int, default=40, help="largest size for which the baselines run"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--rounds", type=int, default=2, help="the best of so many rounds counts, up to 40 clips"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the files are made; default: a temporary folder"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the files in --folder, and use those that are there",
    )
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(JOBS[options.job](options.folder, options.processes)))
        return
    if options.keep and not options.folder:
        parser.error("--keep needs --folder")
    root = options.folder if options.keep else Path(tempfile.mkdtemp(dir=options.folder))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    try:
        for size in sorted(options.sizes):
            measure(root / f"clips_{size}", size, options)
            if not options.keep:
                shutil.rmtree(root / f"clips_{size}")
    finally:
        if not options.keep:
            shutil.rmtree(root)
    print(f"load {os.getloadavg()[0]:.1f}")


def measure(folder: Path, size: int, options: argparse.Namespace) -> None:
    from evaluation_data import (
        write_set,  # here, so that the jobs need not load what draws outlines
    )

    start = time.perf_counter()
    if not (folder / "numbers.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "numbers.json").write_text(json.dumps(write_set(folder, size, options.processes)))
    numbers = json.loads((folder / "numbers.json").read_text())
    megabytes = (
        sum(
            path.stat().st_size for path in (folder / "joint.json", folder / "predictions.jsonl.gz")
        )
        / 1e6
    )
    shown = (
        f"{size} clips, {numbers['frames']:,} frames, {numbers['objects']:,} objects, "
        f"{numbers['detections']:,} detections"
    )
    print(f"\n{shown}, {megabytes:.0f} MB (made in {time.perf_counter() - start:.0f} s)")
    print(f"{'':>28} {'whole':>9} {'without reading':>16} {'peak memory':>12}")
    # Ours by the baseline it is held against; the same baseline has a second row of ours.
    pairs = {"image": "coco", "video": "pair"} if size <= options.baseline else {}
    jobs = ["all", "image", *pairs.values(), "video", "added", "mot"]
    best: dict[str, tuple[float, float, float]] = {}
    figures: dict[str, Any] = {}
    for _ in range(options.rounds if size <= 40 else 1):
        for job in jobs:
            whole, memory, (work, found) = run(
                __file__, ["--job", job, "--folder", folder, "--processes", options.processes]
            )
            before = best.get(job, (float("inf"), float("inf"), 0.0))
            best[job] = (
                min(before[0], whole),
                min(before[1], work or float("inf")),
                max(before[2], memory),
            )
            figures[job] = found
    for job in ("all", "image", "coco", "video", "added", "pair", "mot"):
        if job in best:
            whole, work, memory = best[job]
            ours = best[{baseline: ours for ours, baseline in pairs.items()}.get(job, job)]
            ratio = (
                f"   ours is {whole / ours[0]:.1f} and {work / ours[1]:.1f} times as fast"
                if job in pairs.values()
                else ""
            )
            if job == "pair":
                ratio += f", added to image AP {work / best['added'][1]:.1f} times without reading"
            named = NAMES[job].replace("N", str(options.processes))
            inner = f"{work:>14.2f} s" if np.isfinite(work) else f"{'':>16}"
            print(f"{named:>28} {whole:>7.1f} s {inner} {memory:>9.0f} MB{ratio}", flush=True)
    for ours, theirs in [*pairs.items(), ("video", "added")]:
        if not np.allclose(figures[ours], figures[theirs], rtol=0, atol=1e-9):
            sys.exit(
                f"{NAMES[theirs]} comes to other figures: {figures[theirs]}, not {figures[ours]}"
            )


NAMES = {
    "all": "all, N processes",
    "image": "image AP, 1 process",
    "coco": "COCOeval",
    "video": "video AP, 1 process",
    "added": "video AP added to image AP",
    "pair": "pair by pair",
    "mot": "MOT (masks, boxes), 1 process",
}


def evaluate_all(folder: Path, processes: int) -> tuple[float, None]:
    from vatrack.config import EvaluationConfig
    from vatrack.evaluation.evaluate import evaluate_files

    out = folder / "metrics.json"
    evaluate_files(
        folder / "joint.json",
        folder / "predictions.jsonl.gz",
        {},
        EvaluationConfig(),
        out,
        processes=processes,
    )
    return 0.0, None


def videos(folder: Path) -> Iterator[tuple[Any, Any, Any]]:
    """The document, images and checked predictions of every video, as `vatrack evaluate` reads
    them."""
    from vatrack.evaluation.io.ground_truth import read_images
    from vatrack.evaluation.io.offsets import files_by_video
    from vatrack.evaluation.io.predictions import parse_predictions

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _, places, found, files = files_by_video(
            folder / "joint.json", folder / "predictions.jsonl.gz", {}, Path(scratch)
        )
        for _, one in places:
            part = one.load(files)
            images = read_images(part.document, "truth")
            yield part.document, images, parse_predictions(part.predictions, images, found.label)


def image_ap(folder: Path, _: int) -> tuple[float, list[float]]:
    from vatrack.config import EvaluationConfig
    from vatrack.evaluation.ap.image import LIMITS, frame_overlaps, image_matches
    from vatrack.evaluation.ap.matching import join
    from vatrack.evaluation.ap.precision import precision_by_class, summarise
    from vatrack.evaluation.io.ground_truth import read_objects

    watch = Watch()
    parts: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for document, images, predictions in videos(folder):
        for kind in KINDS:
            objects = read_objects(document, images, kind, "truth")
            with watch:
                overlaps = frame_overlaps(predictions, objects, images, kind)
                parts[kind].append(
                    image_matches(predictions, objects, overlaps, images, kind, EvaluationConfig())
                )
    with watch:
        summaries = [
            summarise(list(precision_by_class(join(parts[kind]), LIMITS).values()))
            for kind in KINDS
        ]
    return watch.seconds, flat(summaries)


def video_ap(folder: Path, _: int) -> tuple[float, list[float]]:
    from vatrack.evaluation.ap.video import compare_masks, possible_masks

    def compare(predicted: Any, true: Any, images: Any) -> Any:
        return compare_masks(predicted, true, *possible_masks(predicted, true), images.size)

    return measure_video_ap(folder, lambda document, images, predictions, kind: compare)


def added_video_ap(folder: Path, _: int) -> tuple[float, list[float]]:
    from vatrack.evaluation.ap.image import frame_overlaps
    from vatrack.evaluation.ap.video import track_mask_overlaps
    from vatrack.evaluation.io.ground_truth import read_objects

    def prepare(
        document: Any, images: Any, predictions: Any, kind: str
    ) -> Callable[[Any, Any, Any], Any]:
        objects = read_objects(document, images, kind, "truth")
        overlaps = frame_overlaps(predictions, objects, images, kind)
        return lambda predicted, true, images: track_mask_overlaps(
            predicted, true, predictions, objects, overlaps, images
        )

    return measure_video_ap(folder, prepare)


def measure_video_ap(
    folder: Path, prepare: Callable[[Any, Any, Any, str], Callable[..., Any]]
) -> tuple[float, list[float]]:
    """Seconds of video AP from checked columns in memory; `prepare` gives what compares the masks,
    and is not counted."""
    import numpy.ma  # noqa: F401 (numpy loads it when `unique` is first called, and loading is not what is measured)

    from vatrack.data.video_ground_truth import video_ground_truth
    from vatrack.evaluation.ap.matching import join
    from vatrack.evaluation.ap.precision import precision_by_class, summarise
    from vatrack.evaluation.ap.video import predicted_tracks, track_overlaps, video_matches
    from vatrack.evaluation.io.true_tracks import read_tracks

    watch = Watch()
    parts: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    found = []
    for document, images, predictions in videos(folder):
        for kind in KINDS:
            true = read_tracks(video_ground_truth(document, kind, 0.75), images, "truth")
            compare = prepare(document, images, predictions, kind)
            with watch:
                predicted = predicted_tracks(predictions, images, kind, 100)
                pairs = track_overlaps(predicted, true, compare(predicted, true, images))
                parts[kind].append(video_matches(predicted, true, pairs, 100, legacy_gt_id0=False))
            found.extend((len(pairs.iou), float(pairs.iou.sum())))
    with watch:
        for kind in KINDS:
            summarise(list(precision_by_class(join(parts[kind]), (100,)).values()))
    return watch.seconds, found


def mot(folder: Path, _: int) -> tuple[float, None]:
    from vatrack.evaluation.ap.image import frame_box_overlaps, frame_overlaps
    from vatrack.evaluation.io.ground_truth import read_objects
    from vatrack.evaluation.mot.measures import track_counts, track_metrics

    watch = Watch()
    counts: dict[str, list[Any]] = {}
    for document, images, predictions in videos(folder):
        for kind in KINDS:
            objects = read_objects(document, images, kind, "truth")
            with watch:
                masks = frame_overlaps(predictions, objects, images, kind)
                boxes = frame_box_overlaps(predictions, objects, kind)
                for name, overlaps in ((kind, masks), (f"{kind}_box", boxes)):
                    counts.setdefault(name, []).extend(
                        track_counts(predictions, objects, overlaps, images, kind)
                    )
    with watch:
        for rows in counts.values():
            track_metrics(rows)
    return watch.seconds, None


def coco(folder: Path, _: int) -> tuple[float, list[float]]:
    """pycocotools with the areas that ours uses, and the occlusion ranges by ignoring what is
    outside."""
    from tests.evaluation.coco import coco_judge

    document = json.loads((folder / "joint.json").read_text())
    with gzip.open(folder / "predictions.jsonl.gz") as stream:
        predictions = [json.loads(line) for line in stream]
    watch = Watch()
    summaries = []
    for kind in KINDS:
        judge = coco_judge(document, predictions, kind, (100, 1000))
        with watch, contextlib.redirect_stdout(io.StringIO()):
            summaries.append(coco_figures(judge))
    return watch.seconds, flat(summaries)


def coco_figures(judge: Any) -> dict[str, float | None]:
    """The nine columns. True objects with an occlusion rate above 0.75 never count; there are none
    in the data."""
    judge.evaluate()
    judge.accumulate()
    values = judge.eval["precision"]  # [T, R, classes, areas, limits]
    figures = {
        "AP": values[:, :, :, 0, 0],
        "AP50": values[0, :, :, 0, 1],
        "AP75": values[5, :, :, 0, 1],
    }
    figures |= {
        f"AP50_{name}": values[0, :, :, area, 1] for area, name in ((1, "S"), (2, "M"), (3, "L"))
    }
    whole = judge.params.areaRng[0]
    judge.params.areaRng = judge._paramsEval.areaRng = [whole]
    for name, (low, high) in {"P": (0.0, 0.25), "OM": (0.25, 0.5), "H": (0.25, 0.75)}.items():
        for truths in judge._gts.values():
            for truth in truths:
                truth["ignore"] = not low <= truth["occlude_rate"] <= high
        judge.evalImgs = [
            judge.evaluateImg(image, category, whole, judge.params.maxDets[-1])
            for category in judge.params.catIds
            for image in judge.params.imgIds
        ]
        judge.accumulate()
        figures[f"AP50_{name}"] = judge.eval["precision"][0, :, :, 0, 1]
    return {
        name: 100 * part[part > -1].mean() if (part > -1).any() else None
        for name, part in figures.items()
    }


def pair_by_pair(folder: Path, _: int) -> tuple[float, list[float]]:
    from pycocotools import mask

    document = json.loads((folder / "joint.json").read_text())
    with gzip.open(folder / "predictions.jsonl.gz") as stream:
        predictions = [json.loads(line) for line in stream]
    classes = [category["id"] for category in document["categories"]]
    true = {kind: plain_truths(document, kind) for kind in KINDS}
    predicted = {kind: plain_tracks(document, predictions, kind) for kind in KINDS}
    watch = Watch()
    found = []
    for video, kind in ((video["id"], kind) for video in document["videos"] for kind in KINDS):
        high = []
        with watch:
            for category in classes:
                for detected in predicted[kind].get((video, category), ()):
                    for given in true[kind].get((video, category), ()):
                        common = union = 0
                        for image in detected.keys() | given.keys():
                            pair = [masks[image] for masks in (detected, given) if image in masks]
                            if len(pair) == 2:
                                common += int(mask.area(mask.merge(pair, intersect=True)))
                                union += int(mask.area(mask.merge(pair, intersect=False)))
                            else:
                                union += int(mask.area(pair[0]))
                        if common >= 0.5 * union:
                            high.append(common / union)
        found.extend((len(high), sum(high)))
    return watch.seconds, found


Masks = dict[int, dict[str, Any]]  # of a track, by image


def plain_truths(document: Any, kind: str) -> dict[tuple[int, int], list[Masks]]:
    """The true tracks of every video and class."""
    tracks: dict[tuple[int, int, int], Masks] = {}
    for entry in document["annotations"]:
        if entry["occlude_rate"] < 0.75:
            key = entry["video_id"], entry["category_id"], entry["instance_id"]
            tracks.setdefault(key, {})[entry["image_id"]] = entry[f"{kind}_mask"]
    return by_class((key[:2], masks) for key, masks in tracks.items())


def plain_tracks(
    document: Any, predictions: list[Any], kind: str
) -> dict[tuple[int, int], list[Masks]]:
    """The 100 best predicted tracks of every video and class."""
    video_of = {image["id"]: image["video_id"] for image in document["images"]}
    records: dict[tuple[int, int], list[Any]] = {}
    for record in predictions:
        records.setdefault((video_of[record["image_id"]], record["track_id"]), []).append(record)
    ranked = []
    for (video, track), members in records.items():
        members.sort(key=lambda record: record["image_id"])  # in order of time in these data
        score = sum(record["score"] for record in members) / len(members)
        ranked.append(
            (
                -score,
                track,
                (video, members[0]["category_id"]),
                {r["image_id"]: r[kind] for r in members},
            )
        )
    ranked.sort(key=lambda entry: entry[:2])
    return {
        key: masks[:100]
        for key, masks in by_class((key, masks) for *_, key, masks in ranked).items()
    }


def by_class(tracks: Iterable[tuple[tuple[int, int], Masks]]) -> dict[tuple[int, int], list[Masks]]:
    result: dict[tuple[int, int], list[Masks]] = {}
    for key, masks in tracks:
        result.setdefault(key, []).append(masks)
    return result


class Watch:
    """Seconds spent in its blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self.start


def flat(summaries: list[dict[str, float | None]]) -> list[float]:
    """All figures in the order of their names; -1 where undefined."""
    return [
        -1.0 if value is None else value
        for figures in summaries
        for _, value in sorted(figures.items())
    ]


JOBS: dict[str, Callable[[Path, int], tuple[float, Any]]] = {
    "all": evaluate_all,
    "image": image_ap,
    "coco": coco,
    "video": video_ap,
    "added": added_video_ap,
    "pair": pair_by_pair,
    "mot": mot,
}

if __name__ == "__main__":
    main()
