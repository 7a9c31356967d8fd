"""The tracking counts against motmetrics' own summary on accumulators that saw every frame."""

import pickle
from typing import Any

import motmetrics
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.mot.tracks import (
    PlainFrame,
    images_of,
    plain_sequences,
    random_tracks,
    tracks_from,
)
from tests.evaluation.scenes import add_object, detection, document, random_scene, rectangle
from vatrack.common.mask_types import MaskType
from vatrack.common.rle import iou
from vatrack.evaluation.ap.image import frame_overlaps
from vatrack.evaluation.ap.overlaps import Overlaps
from vatrack.evaluation.io.ground_truth import read_images, read_objects
from vatrack.evaluation.io.predictions import parse_predictions
from vatrack.evaluation.mot import clear as clear_mot
from vatrack.evaluation.mot.measures import (
    TrackCounts,
    track_counts,
    track_metrics,
    track_metrics_by_class,
)

MASK_TYPE: MaskType = "amodal"
NAMES = {
    "objects": "num_objects",
    "predictions": "num_predictions",
    "matches": "num_detections",
    "misses": "num_misses",
    "false_positives": "num_false_positives",
    "switches": "num_switches",
    "mostly_tracked": "mostly_tracked",
    "mostly_lost": "mostly_lost",
    "idtp": "idtp",
}


def counts_of(joint: dict, predictions: list[dict]) -> list[TrackCounts]:
    images = read_images(joint, "test")
    objects = read_objects(joint, images, MASK_TYPE, "test")
    found = parse_predictions(enumerate(predictions, 1), images)
    return track_counts(
        found, objects, frame_overlaps(found, objects, images, MASK_TYPE), images, MASK_TYPE
    )


def motmetrics_counts(joint: dict, predictions: list[dict]) -> dict[tuple[int, int], dict]:
    """motmetrics' numbers by (class, video), from dense distance matrices of every frame."""
    host = motmetrics.metrics.create()
    video_of = {image["id"]: image["video_id"] for image in joint["images"]}
    sequences = {
        (a["category_id"], video_of[a["image_id"]]) for a in joint["annotations"] + predictions
    }
    result = {}
    for category, video in sequences:
        accumulator = motmetrics.MOTAccumulator()
        for image in joint["images"]:
            if image["video_id"] != video:
                continue
            true, found = (
                [
                    entry
                    for entry in entries
                    if entry["image_id"] == image["id"] and entry["category_id"] == category
                ]
                for entries in (joint["annotations"], predictions)
            )
            overlap = iou(
                [p["amodal"]["counts"].encode() for p in found],
                [a["amodal_mask"]["counts"].encode() for a in true],
                (image["height"], image["width"]),
            )
            distance = 1 - overlap.T
            distance[distance > 0.5] = np.nan
            accumulator.update(
                [a["instance_id"] for a in true],
                [p["track_id"] for p in found],
                distance,
                frameid=image["frame_id"],
            )
        result[category, video] = host.compute(
            accumulator, metrics=[*NAMES.values(), "motp", "mota", "idf1"], return_dataframe=False
        )
    return result


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_motmetrics(seed: int, tied: bool) -> None:
    joint, predictions = random_scene(seed, tied=tied)
    expected = motmetrics_counts(joint, predictions)
    counts = counts_of(joint, predictions)
    assert [(row.category, row.video) for row in counts] == sorted(expected)
    for row in counts:
        theirs = expected[row.category, row.video]
        assert {ours: getattr(row, ours) for ours in NAMES} == {
            ours: theirs[name] for ours, name in NAMES.items()
        }
        metrics = track_metrics([row])
        for name, value in (
            ("MOTA", theirs["mota"]),
            ("IDF1", theirs["idf1"]),
            ("MOTP", 1 - theirs["motp"]),
        ):
            if name == "MOTA" and not row.objects:
                assert metrics[name] is None
            else:
                assert metrics[name] == (
                    None if np.isnan(value) else pytest.approx(100 * value, abs=1e-9)
                )


def plain_counts(frames: list[PlainFrame]) -> tuple:
    """Counts of motmetrics, whose accumulator sees every frame of the sequence and all that is in
    it."""
    accumulator = motmetrics.MOTAccumulator()
    for time, frame in enumerate(frames):
        accumulator.update(
            frame.instances,
            frame.tracks,
            np.where(frame.iou >= 0.5, 1 - frame.iou, np.nan),
            frameid=time,
        )
    host = motmetrics.metrics.create()
    values = host.compute(accumulator, metrics=[*NAMES.values(), "motp"], return_dataframe=False)
    return {name: values[theirs] for name, theirs in NAMES.items()}, values["motp"]


def check_against_motmetrics(seed: int, tied: bool) -> int:
    tracks = random_tracks(seed, tied=tied)
    counts = tracks.counts()
    for row, frames in zip(counts, plain_sequences(tracks).values(), strict=True):
        expected, distance = plain_counts(frames)
        assert {name: getattr(row, name) for name in NAMES} == expected
        assert (row.distance / row.matches if row.matches else np.nan) == pytest.approx(
            distance, abs=1e-12, nan_ok=True
        )
    return sum(row.switches for row in counts)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_accumulator_for_all_sequences(seed: int, tied: bool) -> None:
    """Frames of several sequences at once, and only their pairs: ties and all, nothing changes."""
    check_against_motmetrics(seed, tied)


@pytest.mark.parametrize("size", ["PACK", "EVENTS"])
def test_the_accumulator_goes_on_where_it_was_emptied(
    size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clear_mot, size, 1)
    assert sum(check_against_motmetrics(seed, tied=seed % 2 == 0) for seed in range(12)) > 10, (
        "identity switches"
    )


def test_identities_may_be_any_number() -> None:
    """Two objects whose ids are the same as floating-point numbers, as the accumulator's data frame
    would have them."""
    images, three = images_of([3], (1,)), np.repeat(np.arange(3), 2)
    ids = np.tile([2**62, 2**62 + 1], 3)
    side = (three, np.ones(6, np.int64), ids)
    (row,) = tracks_from(
        images, side, side, Overlaps(np.arange(6), np.arange(6), np.full(6, 0.9))
    ).counts()
    assert (row.matches, row.switches, row.mostly_tracked, row.idtp) == (6, 0, 2, 6)


def test_counts_of_videos_add_up_and_travel() -> None:
    """Counts made video by video, in other processes, are those of all videos at once."""
    joint, predictions = random_scene(5)
    whole = counts_of(joint, predictions)
    parts = []
    for video in (1, 2, 3):
        images = [image for image in joint["images"] if image["video_id"] == video]
        known = {image["id"] for image in images}
        part = joint | {
            "images": images,
            "annotations": [a for a in joint["annotations"] if a["image_id"] in known],
        }
        parts += pickle.loads(
            pickle.dumps(counts_of(part, [p for p in predictions if p["image_id"] in known]))
        )
    assert sorted(parts, key=lambda row: (row.category, row.video)) == whole
    assert track_metrics(parts) == {
        name: pytest.approx(value) for name, value in track_metrics(whole).items()
    }


def test_a_track_that_takes_over_is_one_switch() -> None:
    joint = document([6])
    for image in range(1, 7):
        add_object(joint, image, 3, 1, rectangle(image, 0, 20, 20))
    # Found, missed twice (no pair at all), then found by another track.
    predictions = [
        detection(image, 3, 0.9, image // 4, rectangle(image, 0, 20, 20)) for image in (1, 2, 5, 6)
    ]
    (row,) = counts_of(joint, predictions)
    assert (row.objects, row.matches, row.switches, row.misses, row.false_positives, row.idtp) == (
        6,
        4,
        1,
        2,
        0,
        2,
    )
    assert (row.mostly_tracked, row.mostly_lost) == (0, 0)


def test_overall_figures_are_ratios_of_sums() -> None:
    joint, predictions = random_scene(9)
    counts = counts_of(joint, predictions)
    metrics = track_metrics(counts)
    objects, found = len(joint["annotations"]), len(predictions)
    wrong = metrics["FN"] + metrics["FP"] + metrics["IDs"]
    assert metrics["MOTA"] == pytest.approx(100 * (1 - wrong / objects))
    assert metrics["FN"] - metrics["FP"] == objects - found
    assert metrics["IDF1"] == pytest.approx(
        200 * sum(row.idtp for row in counts) / (objects + found)
    )
    by_class = track_metrics_by_class(counts)
    for name in ("IDs", "MT", "ML", "FP", "FN"):
        assert metrics[name] == sum(values[name] for values in by_class.values())


def test_nothing_at_all_is_undefined() -> None:
    assert counts_of(document([2]), []) == []
    undefined = dict.fromkeys(("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1"))
    assert track_metrics([]) == undefined | dict.fromkeys(("IDs", "MT", "ML", "FP", "FN"), 0)


def test_every_object_missed() -> None:
    joint, _ = random_scene(2)
    metrics = track_metrics(counts_of(joint, []))
    assert (metrics["MOTA"], metrics["MOTP"], metrics["IDF1"], metrics["MT"]) == (0.0, None, 0.0, 0)
    assert (metrics["HOTA"], metrics["DetA"], metrics["AssA"], metrics["LocA"]) == (
        0.0,
        0.0,
        0.0,
        None,
    )
    assert metrics["FN"] == len(joint["annotations"])


def test_a_class_without_objects() -> None:
    """False alarms of a class that the video does not have."""
    joint = document([2])
    predictions = [detection(image, 4, 0.9, 1, rectangle(0, 0, 20, 20)) for image in (1, 2)]
    metrics = track_metrics_by_class(counts_of(joint, predictions))[4]
    assert [metrics[name] for name in ("MOTA", "MOTP", "IDF1", "HOTA", "LocA", "FP", "FN")] == [
        None,
        None,
        0,
        0,
        None,
        2,
        0,
    ]


def test_a_perfect_tracker_is_perfect_in_everything() -> None:
    joint, _ = random_scene(3)
    names = {"track_id": "instance_id", "amodal": "amodal_mask", "visible": "visible_mask"}
    same = ("image_id", "category_id", "bbox", "bbox_visible")
    predictions = [
        {"score": 0.5}
        | {key: a[key] for key in same}
        | {key: a[name] for key, name in names.items()}
        for a in joint["annotations"]
    ]
    metrics = track_metrics(counts_of(joint, predictions))
    assert [metrics[name] for name in ("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1")] == [
        pytest.approx(100)
    ] * 7
    assert [metrics[name] for name in ("IDs", "ML", "FP", "FN")] == [0] * 4


def test_an_identity_switch_halfway() -> None:
    joint = document([8])
    for image in range(1, 9):
        add_object(joint, image, 3, 1, rectangle(image, 0, 20, 20))
    predictions = [
        detection(image, 3, 0.9, 1 + (image > 4), rectangle(image, 0, 20, 20))
        for image in range(1, 9)
    ]
    metrics: Any = track_metrics(counts_of(joint, predictions))
    assert metrics["MOTA"] == pytest.approx(100 * 7 / 8)
    assert (metrics["IDF1"], metrics["MOTP"], metrics["IDs"], metrics["MT"]) == (50, 100, 1, 1)
    assert (metrics["DetA"], metrics["AssA"]) == (100, pytest.approx(50))
