import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.evaluation.scenes import add_object, detection, document, random_scene, rectangle, rle
from vatrack.common.mask_types import MaskType
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation.ap import overlaps
from vatrack.evaluation.ap.image import frame_overlaps
from vatrack.evaluation.ap.matching import SETTINGS
from vatrack.evaluation.ap.overlaps import Overlaps, mask_overlaps
from vatrack.evaluation.ap.precision import precision_by_class
from vatrack.evaluation.ap.video import (
    PredictedTracks,
    compare_masks,
    possible_masks,
    predicted_tracks,
    track_mask_overlaps,
    track_overlaps,
    video_matches,
)
from vatrack.evaluation.io.ground_truth import Images, read_images, read_objects
from vatrack.evaluation.io.predictions import Predictions, parse_predictions
from vatrack.evaluation.io.true_tracks import TrueTracks, read_tracks

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' decode
MASK_TYPE: MaskType = "visible"


def prepare(joint: dict, predictions: list[dict]) -> tuple[Images, Predictions, TrueTracks]:
    images = read_images(joint, "test")
    found = parse_predictions(enumerate(predictions, 1), images)
    return images, found, read_tracks(video_ground_truth(joint, MASK_TYPE, 0.75), images, "test")


def compared(tracks: PredictedTracks, true: TrueTracks, images: Images) -> Overlaps:
    """Which masks overlap, each compared with each."""
    return mask_overlaps(tracks.masks, true.masks, images.size)


def as_set(found: Overlaps) -> set[tuple[int, int, float]]:
    return set(zip(found.detection.tolist(), found.truth.tolist(), found.iou.tolist(), strict=True))


@pytest.mark.parametrize("block", [1, 7, 1 << 18])
@pytest.mark.parametrize("seed", range(8))
def test_tracks_that_are_not_compared_would_not_have_matched(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlaps, "BLOCK", block)
    images, found, true = prepare(*random_scene(seed))
    tracks = predicted_tracks(found, images, MASK_TYPE, 100)
    mine, others = possible_masks(tracks, true)
    assert 0 < mine.sum() < len(mine)
    assert 0 < others.sum() < len(others)
    some = track_overlaps(tracks, true, compare_masks(tracks, true, mine, others, images.size))
    assert as_set(some) == as_set(track_overlaps(tracks, true, compared(tracks, true, images)))


def test_a_track_of_one_pixel_matches_itself_whole() -> None:
    joint = document([1])
    add_object(joint, 1, 1, 1, rectangle(10, 10, 1, 1))
    images, found, true = prepare(joint, [detection(1, 1, 0.9, 0, None, rectangle(10, 10, 1, 1))])
    tracks = predicted_tracks(found, images, MASK_TYPE, 100)
    assert track_overlaps(tracks, true, compared(tracks, true, images)).iou.tolist() == [1.0]


def test_tracks_that_just_match_are_compared() -> None:
    """IoU exactly 0.5, reached only if every pixel of the smaller track is common; and one pixel
    less."""
    for width, expected in ((40, [0.5]), (41, [])):
        joint = document([2])
        add_object(joint, 1, 1, 1, rectangle(10, 10, width, 20))
        images, found, true = prepare(
            joint, [detection(1, 1, 0.9, 0, None, rectangle(10, 10, 20, 20))]
        )
        tracks = predicted_tracks(found, images, MASK_TYPE, 100)
        mine, others = possible_masks(tracks, true)
        assert mine.tolist() == others.tolist() == [bool(expected)]
        assert (
            track_overlaps(
                tracks, true, compare_masks(tracks, true, mine, others, images.size)
            ).iou.tolist()
            == expected
        )


@pytest.mark.parametrize("seed", range(4))
def test_overlaps_known_from_the_frames_are_those_of_the_masks(seed: int) -> None:
    joint, predictions = random_scene(seed)
    # Two objects with the same mask, and true tracks with masks that no object has.
    twin = joint["annotations"][0]
    joint["annotations"].append(twin | {"id": 999, "instance_id": 999})
    predictions.append(
        detection(twin["image_id"], twin["category_id"], 0.5, 900, None, rectangle(20, 20, 60, 60))
    )
    video = video_ground_truth(joint, MASK_TYPE, 0.75)
    strange = video["annotations"][-1]["segmentations"]
    strange[:] = [mask and rle(rectangle(10, 10, 70, 70)) for mask in strange]
    images = read_images(joint, "test")
    found = parse_predictions(enumerate(predictions, 1), images)
    true = read_tracks(video, images, "test")
    objects = read_objects(joint, images, MASK_TYPE, "test")
    tracks = predicted_tracks(found, images, MASK_TYPE, 100)
    known = track_mask_overlaps(
        tracks, true, found, objects, frame_overlaps(found, objects, images, MASK_TYPE), images
    )
    plain = compared(tracks, true, images)
    pairs, expected = (as_set(table) for table in (known, plain))
    assert len(pairs) > 5
    assert pairs <= expected
    assert as_set(track_overlaps(tracks, true, known)) == as_set(
        track_overlaps(tracks, true, plain)
    )
    # What is left out are masks of tracks that are too different.
    mine, others = possible_masks(tracks, true)
    assert pairs >= {pair for pair in expected if mine[pair[0]] and others[pair[1]]}
    assert (found.category[tracks.row] != tracks.masks.category).any()
    assert [tracks.masks.counts[row] for row in range(9)] == [
        found.counts[MASK_TYPE][row] for row in tracks.row[:9]
    ]


@pytest.mark.parametrize("seed", range(3))
def test_space_time_iou_equals_that_of_the_pixels(seed: int) -> None:
    joint, predictions = random_scene(seed)
    images, found, true = prepare(joint, predictions)
    tracks = predicted_tracks(found, images, MASK_TYPE, 100)
    overlaps = track_overlaps(tracks, true, compared(tracks, true, images))
    pairs = {
        (int(d), int(g)): value
        for d, g, value in zip(overlaps.detection, overlaps.truth, overlaps.iou, strict=True)
    }

    def volume(masks, rows) -> np.ndarray:
        pixels = np.zeros((len(images.id), *images.size[0]), bool)
        for row in rows:
            size = images.size[masks.image[row]].tolist()
            pixels[masks.image[row]] = coco_mask.decode({"size": size, "counts": masks.counts[row]})
        return pixels

    above = 0
    for d in range(len(tracks.video)):
        for g in range(len(true.id)):
            if tracks.video[d] == true.video[g] and tracks.category[d] == true.category[g]:
                first = volume(tracks.masks, np.flatnonzero(tracks.track == d))
                second = volume(true.masks, np.flatnonzero(true.track == g))
                iou = (first & second).sum() / (first | second).sum()
                above += iou >= 0.5
                assert pairs.get((d, g), 0.0) == (iou if iou >= 0.5 else 0.0)  # to the last bit
    assert above == len(pairs) > 0


def test_a_track_has_the_mean_score_and_area_and_the_class_of_its_first_frame() -> None:
    joint = document([3])
    masks = [rectangle(0, 0, 10, 10), rectangle(0, 0, 0, 0), rectangle(0, 0, 10, 20)]
    predictions = [
        detection(image, category, score, 7, None, mask)
        for image, category, score, mask in zip(
            (3, 2, 1), (5, 5, 2), (0.5, 0.25, 0.75), masks, strict=True
        )
    ]
    add_object(joint, 1, 2, 1, rectangle(0, 0, 10, 20))
    images, found, _ = prepare(joint, predictions)
    tracks = predicted_tracks(found, images, MASK_TYPE, 100)
    assert tracks.category.tolist() == [1]  # the index of category 2
    assert tracks.score.tolist() == [0.5]
    assert tracks.area.tolist() == [150.0]  # the empty mask does not count (quirk E3)
    assert tracks.total.tolist() == [300]
    assert images.position[tracks.masks.image].tolist() == [0, 1, 2]


def test_tracks_of_equal_scores_tie_whatever_their_length() -> None:
    joint = document([53])
    box = rectangle(0, 0, 10, 10)
    predictions = [detection(image, 1, 0.9, 1, None, box) for image in range(1, 54)]
    predictions += [detection(image, 1, 0.9, 2, None, box) for image in range(1, 17)]
    images, found, _ = prepare(joint, predictions)
    first, second = predicted_tracks(found, images, MASK_TYPE, 100).score
    assert first == second == np.float32(0.9)


def test_only_the_best_tracks_of_a_class_and_video_count() -> None:
    joint = document([1, 1])
    add_object(joint, 1, 1, 1, rectangle(0, 0, 10, 10))
    box = rectangle(0, 0, 10, 10)
    # Video 1, class 1: scores from 1/8 to 1/2, two of them tied; another class and another video
    # beside it.
    predictions = [
        detection(1, 1, score, track, None, box)
        for track, score in enumerate((0.125, 0.25, 0.5, 0.25, 0.1875))
    ]
    predictions += [detection(1, 2, 0.0625, 90, None, box), detection(2, 1, 0.03125, 0, None, box)]
    images, found, _ = prepare(joint, predictions)
    tracks = predicted_tracks(found, images, MASK_TYPE, 2)
    kept = sorted(
        zip(tracks.video.tolist(), tracks.category.tolist(), tracks.score.tolist(), strict=True)
    )
    # (video, index of the category, score)
    assert kept == [(1, 0, 0.25), (1, 0, 0.5), (1, 1, 0.0625), (2, 0, 0.03125)]
    assert len(tracks.masks.counts) == 4


def test_a_tracker_that_goes_on_where_the_object_is_hidden_pays_for_it() -> None:
    joint = document([4])
    box = rectangle(10, 10, 20, 20)
    for image in (1, 2):
        add_object(joint, image, 1, 1, box)
    for image in (3, 4):
        add_object(
            joint, image, 1, 1, box, rectangle(10, 10, 4, 20)
        )  # rate 0.8: not in the video ground truth
    joint["annotations"][-1]["occlude_rate"] = joint["annotations"][-2]["occlude_rate"] = 0.8
    images, found, true = prepare(
        joint, [detection(image, 1, 0.9, 0, None, box) for image in (1, 2, 3, 4)]
    )
    tracks = predicted_tracks(found, images, MASK_TYPE, 100)
    overlaps = track_overlaps(tracks, true, compared(tracks, true, images))
    assert overlaps.iou.tolist() == [0.5]


def test_true_tracks_have_the_mean_of_the_larger_half_of_the_rates() -> None:
    joint = document([5])
    for image, rate in zip((1, 2, 3, 5), (0.1, 0.7, 0.3, 0.2), strict=True):
        add_object(joint, image, 4, 1, rectangle(0, 0, 10, 10 * image))
        joint["annotations"][-1]["occlude_rate"] = rate
    _, _, true = prepare(joint, [])
    assert true.rate == pytest.approx([0.5])  # of 0.7, 0.3, 0.2, 0.1 the larger two
    assert true.area == pytest.approx([(100 + 200 + 300 + 500) / 4])
    assert true.track.tolist() == [0, 0, 0, 0]
    assert true.masks.image.tolist() == [0, 1, 2, 4]


def precision_of(
    tracks: PredictedTracks, true: TrueTracks, images: Images
) -> dict[int, np.ndarray]:
    matches = video_matches(
        tracks,
        true,
        track_overlaps(tracks, true, compared(tracks, true, images)),
        100,
        legacy_gt_id0=False,
    )
    return precision_by_class(matches, (100,))


def test_nothing_predicted_is_zero_and_no_object_is_undefined() -> None:
    joint, _ = random_scene(0)
    images, found, true = prepare(joint, [])
    tracks = predicted_tracks(found, images, MASK_TYPE, 100)
    values = precision_of(tracks, true, images)
    assert set(values) == set(true.category.tolist())
    assert max(value.max() for value in values.values()) == 0.0
    assert all(value.shape == (1, 10, len(SETTINGS), 101) for value in values.values())
    images, found, true = prepare(document([2]), [])
    tracks = predicted_tracks(found, images, MASK_TYPE, 100)
    assert precision_of(tracks, true, images) == {}
