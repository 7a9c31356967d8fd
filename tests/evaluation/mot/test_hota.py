"""HOTA from the compact form against TrackEval's own result on the plain form: every frame, every
identity."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Semaphore

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trackeval.metrics import HOTA

from tests.evaluation.mot.tracks import (
    PlainFrame,
    Tracks,
    images_of,
    plain_sequences,
    random_tracks,
    tracks_from,
)
from vatrack.evaluation.ap.overlaps import Overlaps
from vatrack.evaluation.mot import hota
from vatrack.evaluation.mot.hota import hota_metrics
from vatrack.evaluation.mot.measures import track_metrics, track_metrics_by_class

COLUMNS = ("HOTA", "DetA", "AssA", "LocA")


def plain_result(frames: list[PlainFrame]) -> dict[str, np.ndarray]:
    """TrackEval's result of one sequence in the form that its own datasets have."""
    true, ids = np.unique(
        np.concatenate([frame.instances for frame in frames]), return_inverse=True
    )
    found, tracks = np.unique(
        np.concatenate([frame.tracks for frame in frames]), return_inverse=True
    )
    return HOTA().eval_sequence(
        {
            "num_timesteps": len(frames),
            "num_gt_ids": len(true),
            "num_gt_dets": len(ids),
            "gt_ids": np.split(ids, np.cumsum([len(frame.instances) for frame in frames])[:-1]),
            "num_tracker_ids": len(found),
            "num_tracker_dets": len(tracks),
            "tracker_ids": np.split(
                tracks, np.cumsum([len(frame.tracks) for frame in frames])[:-1]
            ),
            "similarity_scores": [frame.iou for frame in frames],
        }
    )


def check(tracks: Tracks) -> int:
    """Compares everything; returns the number of sequences."""
    counts, plain = tracks.counts(), plain_sequences(tracks)
    assert [(row.category, row.video) for row in counts] == list(plain)
    results = {key: plain_result(frames) for key, frames in plain.items()}
    for row, result in zip(counts, results.values(), strict=True):
        # Counts are exact; a mean is rounded differently where zeros are left out of a sum.
        np.testing.assert_array_equal(row.hota.matches, result["HOTA_TP"])
        np.testing.assert_allclose(row.hota.association, result["AssA"], rtol=0, atol=1e-14)
        np.testing.assert_array_equal(row.hota.localisation, result["LocA"])
        np.testing.assert_array_equal(
            row.hota.objects - np.array(row.hota.matches), result["HOTA_FN"]
        )
        np.testing.assert_array_equal(
            row.hota.predictions - np.array(row.hota.matches), result["HOTA_FP"]
        )
    metric = HOTA()
    classes = {
        category: metric.combine_sequences(
            {key: result for key, result in results.items() if key[0] == category}
        )
        for category in {key[0] for key in results}
    }
    for category, metrics in track_metrics_by_class(counts).items():
        assert [metrics[name] for name in COLUMNS] == expected_metrics(classes[category])
    if classes:
        metrics = track_metrics(counts)
        assert [metrics[name] for name in COLUMNS] == expected_metrics(
            metric.combine_classes_det_averaged(classes)
        )
    return len(results)


def expected_metrics(result: dict[str, np.ndarray]) -> list:
    values = [pytest.approx(100 * np.mean(result[name]), abs=1e-11) for name in COLUMNS]
    return values if result["HOTA_TP"].any() else [*values[:3], None]


@pytest.mark.parametrize("tied", [False, True])
@given(seed=st.integers(0, 2**32 - 1))
def test_equal_to_trackeval(seed: int, tied: bool) -> None:
    check(random_tracks(seed, tied=tied))


def test_equal_to_trackeval_with_tables_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of identities per threshold does not fit: thresholds are evaluated one after the
    other."""
    monkeypatch.setattr(hota, "MEMORY", 0)
    assert sum(check(random_tracks(seed, tied=False)) for seed in range(8)) > 20


def one_object(tracks: list[int], iou: list[float], others: int = 0) -> Tracks:
    """One object in each frame, a detection of these tracks (-1: none), and detections elsewhere of
    one more track."""
    images = images_of([len(tracks)], (1,))
    frames = len(tracks) - 1 - np.arange(len(tracks))  # rows of the images by time
    found = np.array([number for number, track in enumerate(tracks) if track >= 0], np.int64)
    image = np.concatenate((frames[found], frames[:others]))
    track = np.concatenate((np.array(tracks)[found], np.full(others, 99))).astype(np.int64)
    objects = (frames, np.ones_like(frames), np.full_like(frames, 5))
    return tracks_from(
        images,
        objects,
        (image, np.ones_like(image), track),
        Overlaps(np.arange(len(found)), found, np.array(iou)[found]),
    )


def measured(tracks: Tracks) -> list[float | None]:
    result = track_metrics(tracks.counts())
    return [result[name] for name in COLUMNS]


def test_a_perfect_tracker() -> None:
    assert measured(one_object([4] * 5, [1.0] * 5)) == [100, 100, 100, 100]


def test_an_identity_switch_halfway() -> None:
    """Every match shares 4 of the 8 frames with its object: AssA = 4 / (4 + 4 + 0); nothing is
    missed."""
    expected = [100 * np.sqrt(0.5), 100, 50, 100]
    assert measured(one_object([1] * 4 + [2] * 4, [1.0] * 8)) == pytest.approx(expected)


def test_detections_that_are_missing_and_too_many() -> None:
    """3 of 4 frames found, 2 false alarms: DetA = 3 / (3 + 1 + 2); the false alarms have a track of
    their own: AssA = 3 / 4."""
    expected = [100 * np.sqrt(0.5 * 0.75), 50, 75, 100]
    assert measured(one_object([1, 1, -1, 1], [1.0] * 4, others=2)) == pytest.approx(expected)


def test_an_iou_of_0_6() -> None:
    """Found at the thresholds 0.05 to 0.60, 12 of 19, and at none above, where TrackEval defines
    LocA as 1."""
    expected = [100 * 12 / 19, 100 * 12 / 19, 100 * 12 / 19, 100 * (12 * 0.6 + 7) / 19]
    assert measured(one_object([1, 1, 1], [0.6] * 3)) == pytest.approx(expected)


def test_only_objects_or_only_detections() -> None:
    assert measured(one_object([-1] * 3, [0.0] * 3)) == [0, 0, 0, None]
    images, none = images_of([2], (1,)), np.empty(0, np.int64)
    false_alarms = (np.arange(2), np.ones(2, np.int64), np.array([3, 3]))
    only_detections = tracks_from(
        images, (none, none, none), false_alarms, Overlaps(none, none, np.empty(0))
    )
    assert measured(only_detections) == [0, 0, 0, None]
    assert track_metrics(only_detections.counts())["FP"] == 2
    assert hota_metrics([]) == dict.fromkeys(COLUMNS)


def test_overall_counts_every_match_the_same() -> None:
    """Two classes of 9 and 1 frames: DetA of the sums is 9 / 10, not the mean of 1 and 0."""
    images = images_of([9], (1, 2))
    image = np.append(np.arange(9), 0)
    category = np.append(np.ones(9, np.int64), 2)
    found = (np.arange(9), np.ones(9, np.int64), np.full(9, 1))
    tracks = tracks_from(
        images, (image, category, category), found, Overlaps(np.arange(9), np.arange(9), np.ones(9))
    )
    assert measured(tracks) == pytest.approx([100 * np.sqrt(0.9), 90, 100, 100])
    by_class = track_metrics_by_class(tracks.counts())
    assert (by_class[1]["DetA"], by_class[2]["DetA"]) == (100, 0)


def test_silent_and_without_traces() -> None:
    """Nothing is printed or warned, and importing the command line loads neither library."""
    code = """
import sys
import vatrack.cli
assert not {"trackeval", "motmetrics", "pandas"} & set(sys.modules)
import logging, warnings
import numpy
import scipy.optimize, scipy.sparse  # these set two filters of their own
state = numpy.geterr(), numpy.get_printoptions(), logging.root.level, list(logging.root.handlers)
from tests.evaluation.mot.tracks import random_tracks
from vatrack.evaluation.mot.measures import track_metrics
filters = list(warnings.filters)
for seed in range(5):
    track_metrics(random_tracks(seed, tied=True).counts())
assert "trackeval" in sys.modules
found = (numpy.geterr(), numpy.get_printoptions(), logging.root.level, list(logging.root.handlers))
assert found == state
assert warnings.filters == filters
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_threads_redirect_the_output_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once would leave it redirected: each puts back what it found."""
    inside = Semaphore()

    @contextmanager
    def redirected(_: object) -> Iterator[None]:
        assert inside.acquire(blocking=False)
        time.sleep(0.02)
        yield
        inside.release()

    monkeypatch.setattr(hota, "redirect_stdout", redirected)
    hota._metric_class.cache_clear()
    result = hota.HotaResult(1, 1, *hota.NO_MATCH)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(hota_metrics, [[(1, result)]] * 4))
    assert [metrics["HOTA"] for metrics in found] == [0.0] * 4
