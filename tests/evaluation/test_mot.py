"""The tracking counts against motmetrics' own summary on accumulators that saw every frame."""

import motmetrics
import numpy as np
import pytest

from tests.evaluation.scenes import add_object, detection, document, random_scene, rectangle
from vatrack.evaluation.ground_truth import read_images, read_objects
from vatrack.evaluation.image import frame_overlaps
from vatrack.evaluation.mot import TrackCounts, track_counts, track_figures, track_figures_by_class
from vatrack.evaluation.predictions import parse_predictions
from vatrack.rle import iou

KIND = "amodal"
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
    objects = read_objects(joint, images, KIND, "test")
    found = parse_predictions(enumerate(predictions, 1), images)
    return track_counts(found, objects, frame_overlaps(found, objects, images, KIND), images, KIND)


def motmetrics_counts(joint: dict, predictions: list[dict]) -> dict[tuple[int, int], dict]:
    """motmetrics' numbers by (class, video), from dense distance matrices of every frame."""
    host = motmetrics.metrics.create()
    video_of = {image["id"]: image["video_id"] for image in joint["images"]}
    sequences = {(a["category_id"], video_of[a["image_id"]]) for a in joint["annotations"] + predictions}
    result = {}
    for category, video in sequences:
        accumulator = motmetrics.MOTAccumulator()
        for image in joint["images"]:
            if image["video_id"] != video:
                continue
            true, found = (
                [entry for entry in entries if entry["image_id"] == image["id"] and entry["category_id"] == category]
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
                [a["instance_id"] for a in true], [p["track_id"] for p in found], distance, frameid=image["frame_id"]
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
        assert {ours: getattr(row, ours) for ours in NAMES} == {ours: theirs[name] for ours, name in NAMES.items()}
        figures = track_figures([row])
        for name, value in (("MOTA", theirs["mota"]), ("IDF1", theirs["idf1"]), ("MOTP", 1 - theirs["motp"])):
            if name == "MOTA" and not row.objects:
                assert figures[name] is None
            else:
                assert figures[name] == (None if np.isnan(value) else pytest.approx(100 * value, abs=1e-9))


def test_a_track_that_takes_over_is_one_switch() -> None:
    joint = document([6])
    for image in range(1, 7):
        add_object(joint, image, 3, 1, rectangle(image, 0, 20, 20))
    # Found, missed twice (no pair at all), then found by another track.
    predictions = [detection(image, 3, 0.9, image // 4, rectangle(image, 0, 20, 20)) for image in (1, 2, 5, 6)]
    (row,) = counts_of(joint, predictions)
    assert (row.objects, row.matches, row.switches, row.misses, row.false_positives, row.idtp) == (6, 4, 1, 2, 0, 2)
    assert (row.mostly_tracked, row.mostly_lost) == (0, 0)


def test_overall_figures_are_ratios_of_sums() -> None:
    joint, predictions = random_scene(9)
    counts = counts_of(joint, predictions)
    figures = track_figures(counts)
    objects, found = len(joint["annotations"]), len(predictions)
    wrong = figures["FN"] + figures["FP"] + figures["IDs"]
    assert figures["MOTA"] == pytest.approx(100 * (1 - wrong / objects))
    assert figures["FN"] - figures["FP"] == objects - found
    assert figures["IDF1"] == pytest.approx(200 * sum(row.idtp for row in counts) / (objects + found))
    by_class = track_figures_by_class(counts)
    for name in ("IDs", "MT", "ML", "FP", "FN"):
        assert figures[name] == sum(values[name] for values in by_class.values())


def test_nothing_at_all_is_undefined() -> None:
    assert counts_of(document([2]), []) == []
    assert track_figures([]) == {"MOTA": None, "MOTP": None, "IDF1": None, "IDs": 0, "MT": 0, "ML": 0, "FP": 0, "FN": 0}


def test_every_object_missed() -> None:
    joint, _ = random_scene(2)
    figures = track_figures(counts_of(joint, []))
    assert (figures["MOTA"], figures["MOTP"], figures["IDF1"], figures["MT"]) == (0.0, None, 0.0, 0)
    assert figures["FN"] == len(joint["annotations"])
