from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.evaluation.scenes import add_object, document, random_scene, rectangle
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.rle import measure
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation.io.ground_truth import read_images, read_objects
from vatrack.evaluation.io.true_tracks import TrueTracks, read_tracks, tracks_of


def scene() -> dict[str, Any]:
    joint = document([3, 2])
    for image in (1, 2, 4):
        add_object(joint, image, 2, 1, rectangle(5, 5, 20, 10), rectangle(5, 5, 15, 10))
    return joint


def test_images_are_ordered_by_id_and_placed_by_frame() -> None:
    joint = scene()
    joint["images"] = joint["images"][::-1]
    joint["images"][-1]["frame_id"], joint["images"][-2]["frame_id"] = 1, 0
    images = read_images(joint, "gt")
    assert images.id.tolist() == [1, 2, 3, 4, 5]
    assert images.position.tolist() == [1, 0, 2, 0, 1]
    assert images.frames == {1: 3, 2: 2}
    assert images.rows_of(1).tolist() == [1, 0, 2]
    assert images.index(np.array([5, 0, 1, 9])).tolist() == [4, -1, 0, -1]


def test_no_images() -> None:
    images = read_images(document([]), "gt")
    assert images.index(np.array([1])).tolist() == [-1]
    assert len(read_objects(document([]), images, "amodal", "gt").id) == 0


@pytest.mark.parametrize(("mask_type", "area"), [("amodal", 200.0), ("visible", 150.0)])
def test_objects_have_the_mask_and_area_of_their_kind(mask_type: MaskType, area: float) -> None:
    joint = scene()
    objects = read_objects(joint, read_images(joint, "gt"), mask_type, "gt")
    assert objects.area.tolist() == [area] * 3
    assert objects.rate == pytest.approx([0.25] * 3)
    assert [text.decode() for text in objects.masks.counts] == [
        a[f"{mask_type}_mask"]["counts"] for a in joint["annotations"]
    ]


def set_in(joint: dict, entries: str, key: str, value: Any) -> None:
    if value is KeyError:
        del joint[entries][0][key]
    else:
        joint[entries][0][key] = value


WRONG: dict[str, tuple[Callable[[dict], Any], str]] = {
    "no images": (lambda joint: joint.pop("images"), "no list 'images'"),
    "no annotations": (lambda joint: joint.pop("annotations"), "no list 'annotations'"),
    "images no list": (lambda joint: joint.update(images={}), "no list 'images'"),
    "image no object": (
        lambda joint: joint["images"].append(5),
        "an item of 'images' has no 'id'",
    ),
    "no height": (
        lambda joint: set_in(joint, "images", "height", KeyError),
        "item 1 of 'images' has no 'height'",
    ),
    "frame text": (
        lambda joint: set_in(joint, "images", "frame_id", "0"),
        "item 1 of 'images': frame_id is '0'; must be an integer",
    ),
    "image twice": (
        lambda joint: set_in(joint, "images", "id", 3),
        "image 3: id 3 is not unique",
    ),
    "unknown video": (
        lambda joint: set_in(joint, "images", "video_id", 8),
        "image 1: its video 8 is not in the list of videos",
    ),
    "negative class": (
        lambda joint: set_in(joint, "categories", "id", -1),
        "category id -1 is negative",
    ),
    "unknown image": (
        lambda joint: set_in(joint, "annotations", "image_id", 77),
        "item 1 of 'annotations' has image_id 77",
    ),
    "unknown class": (
        lambda joint: set_in(joint, "annotations", "category_id", 25),
        "item 1 of 'annotations' has category_id 25",
    ),
    "video twice": (
        lambda joint: joint["videos"].append(joint["videos"][0]),
        "video 1: id 1 is not unique",
    ),
    "class twice": (
        lambda joint: joint["categories"].append(joint["categories"][3]),
        "category 4: id 4 is not unique",
    ),
    "same place": (
        lambda joint: joint["images"][1].update(frame_id=0),
        "image 2: has the frame_id 0 of image 1 of the same video",
    ),
    "height of 0": (
        lambda joint: set_in(joint, "images", "height", 0),
        "item 1 of 'images': height is 0; must be an integer from 1",
    ),
    "crowd as text": (
        lambda joint: set_in(joint, "annotations", "iscrowd", "0"),
        "item 1 of 'annotations': iscrowd is '0'; must be 0 or 1",
    ),
    "unknown image, no id": (
        lambda joint: (
            joint["annotations"][0].pop("id"),
            joint["annotations"][0].update(image_id=77),
        ),
        "(an item of 'annotations' has image_id 77|has no 'id')",
    ),
    "other video": (
        lambda joint: set_in(joint, "annotations", "video_id", 2),
        "annotation 1 has video_id 2, but its image 1",
    ),
    "two masks": (
        lambda joint: set_in(joint, "annotations", "image_id", 2),
        "instance 1 has two masks in image 2",
    ),
    "no mask": (
        lambda joint: set_in(joint, "annotations", "amodal_mask", KeyError),
        "has no 'amodal_mask'",
    ),
    "mask null": (
        lambda joint: set_in(joint, "annotations", "amodal_mask", None),
        "amodal_mask of annotation 1 is not a mask; it must be a run",
    ),
    "mask size": (
        lambda joint: joint["annotations"][0]["amodal_mask"].update(size=[3, 4]),
        r"amodal_mask of annotation 1 has size \[3, 4\], its image \[120, 160\]",
    ),
    "mask cut": (
        lambda joint: joint["annotations"][0]["amodal_mask"].update(counts="04"),
        "amodal_mask of annotation 1 is damaged",
    ),
    "area": (
        lambda joint: set_in(joint, "annotations", "area_amodal", None),
        "item 1 of 'annotations': area_amodal is None; must be a number from 0",
    ),
    "rate": (
        lambda joint: set_in(joint, "annotations", "occlude_rate", float("nan")),
        "item 1 of 'annotations': occlude_rate is nan; must be a number from 0 to 1",
    ),
}


WRONG |= {
    f"{key} {value}": (partial(set_in, entries="annotations", key=key, value=value), message)
    for key, value, message in (
        ("occlude_rate", -0.02, "occlude_rate is -0.02; must be a number from 0 to 1"),
        ("occlude_rate", 1.1, "occlude_rate is 1.1; must be a number from 0 to 1"),
        ("area_amodal", -1, "area_amodal is -1; must be a number from 0"),
        ("area_amodal", 2e10, "area_amodal is 20000000000.0; must be a number from 0"),
        ("category_id", {"id": 2}, r"category_id is \{'id': 2\}; must be an integer"),
        ("category_id", True, "category_id is True; must be an integer"),
        ("instance_id", 1.0, r"instance_id is 1\.0; must be an integer"),
        ("instance_id", 2**63, rf"instance_id is {2**63}; must be an integer"),
        ("bbox", [1, 1, -2, 3], r"bbox is \[1, 1, -2, 3\]; .* with non-negative width"),
        ("iscrowd", 2, "iscrowd is 2; must be 0 or 1"),
    )
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_ground_truth_is_refused_with_the_item(name: str) -> None:
    change, message = WRONG[name]
    joint = scene()
    change(joint)
    with pytest.raises(InputError, match=f"gt.json: .*{message}"):
        read_objects(joint, read_images(joint, "gt.json"), "amodal", "gt.json")


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_another_json_is_refused(document: Any) -> None:
    with pytest.raises(InputError, match="no list 'images'"):
        read_images(document, "gt.json")


TRACK_WRONG: dict[str, tuple[Callable[[dict], Any], str]] = {
    "length": (lambda track: track["segmentations"].pop(), "each of the 3 images of video 1"),
    "no list": (lambda track: track.update(areas=None), "must be lists"),
    "missing": (
        lambda track: track.pop("occlude_rate"),
        "item 1 of 'annotations' has no 'occlude_rate'",
    ),
    "numbers": (
        lambda track: track["areas"].__setitem__(0, "200"),
        "item 0: area is '200'; must be a number .* or null",
    ),
    "video": (lambda track: track.update(video_id=9), "item 1 of 'annotations' has video_id 9"),
    "mask": (
        lambda track: track["segmentations"].__setitem__(1, 5),
        "item 1 of 'segmentations' is not a mask",
    ),
    "cut": (
        lambda track: track["segmentations"].__setitem__(1, {"size": [120, 160], "counts": "1"}),
        "item 1 of 'segmentations' is damaged",
    ),
}


@pytest.mark.parametrize("name", TRACK_WRONG)
def test_wrong_tracks_are_refused_with_the_item(name: str) -> None:
    change, message = TRACK_WRONG[name]
    joint = scene()
    tracks = video_ground_truth(joint, "visible", 0.75)
    change(tracks["annotations"][0])
    with pytest.raises(InputError, match=f"video.json: .*{message}"):
        read_tracks(tracks, read_images(joint, "gt"), "video.json")


def test_track_totals_are_those_of_the_masks() -> None:
    joint, _ = random_scene(4)
    true = read_tracks(video_ground_truth(joint, "amodal", 0.75), read_images(joint, "gt"), "gt")
    kept = [a for a in joint["annotations"] if a["occlude_rate"] < 0.75]
    assert true.total.sum() == sum(a["area_amodal"] for a in kept)
    assert len(true.track) == len(kept)
    assert len(true.id) == len({(a["video_id"], a["instance_id"]) for a in kept})


@pytest.mark.parametrize(("rate", "read"), [(-1e-16, 0), (-1e-7, 0), (1 + 1e-9, 1), (0.5, 0.5)])
def test_round_off_of_rates_does_not_count(rate: float, read: float) -> None:
    joint = scene()
    joint["annotations"][0]["occlude_rate"] = rate
    objects = read_objects(joint, read_images(joint, "gt"), "amodal", "gt")
    assert objects.rate[0] == read


@pytest.mark.parametrize(
    ("crowd", "read"), [(None, False), (False, False), (1, True), (True, True)]
)
def test_crowds(crowd: object, read: bool) -> None:
    joint = scene()
    joint["annotations"][0]["iscrowd"] = crowd
    objects = read_objects(joint, read_images(joint, "gt"), "amodal", "gt")
    assert objects.crowd.tolist() == [read, False, False]


def _lists(tracks: TrueTracks) -> dict[str, Any]:
    """The columns of tracks; rates as texts, so that NaN equals NaN."""
    found = asdict(tracks)
    found |= found.pop("masks")
    found["rate"] = list(map(str, found["rate"]))
    return {name: np.asarray(values).tolist() for name, values in found.items()}


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.75, 1.1])
@pytest.mark.parametrize("seed", range(12))
def test_tracks_of_objects_are_those_of_the_video_ground_truth(seed: int, limit: float) -> None:
    joint = random_scene(seed)[0]
    random = np.random.default_rng(seed)
    for item in joint["annotations"]:
        if random.random() < 0.2:
            item["occlude_rate"] = [None, 0, 1, 0.75, 0.3][random.integers(5)]
        if random.random() < 0.2:  # of a track, the first in the file says the class
            item["category_id"] = int(random.choice([c["id"] for c in joint["categories"]]))
        if random.random() < 0.3:
            item["area_amodal"] = [0, 0.5, item["area_amodal"] / 3][random.integers(3)]
    random.shuffle(joint["annotations"])
    if seed == 0:
        joint["annotations"] = []
    images = read_images(joint, "gt")
    for mask_type in MASK_TYPES:
        expected = read_tracks(video_ground_truth(joint, mask_type, limit), images, "gt")
        objects = read_objects(joint, images, mask_type, "gt")
        found = tracks_of(objects, images, limit)
        assert _lists(found) == _lists(expected)
        assert objects.mask_area.tolist() == measure(objects.masks.counts)[0].tolist()
