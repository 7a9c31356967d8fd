"""`vatrack evaluate` on predictions that are wrong, empty, or of another subset."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.files import Json, arguments, many_videos, write_inputs
from tests.evaluation.scenes import random_scene
from vatrack.common.counted import counted
from vatrack.common.files import write_json, write_yaml
from vatrack.common.value_files import read_json
from vatrack.evaluation.io.prediction_file import SAME_SUBSET
from vatrack.evaluation.summary import Evaluated


def changed(record: Json, **changes: Any) -> str:
    return json.dumps(record | changes)


# What stands in the third line, and what is said about it.
BAD = {
    "unknown image": (
        lambda r: changed(r, image_id=9999),
        "unknown image_id 9999; the predictions belong to another",
    ),
    "unknown class": (
        lambda r: changed(r, category_id=0),
        "unknown category_id 0; use the category ids of the ground truth",
    ),
    "mask of another size": (
        lambda r: changed(r, visible=r["visible"] | {"size": [160, 120]}),
        "the visible mask has size [160, 120], but its image [120, 160]",
    ),
    "damaged mask": (
        lambda r: changed(r, amodal=r["amodal"] | {"counts": r["amodal"]["counts"][:-1]}),
        "the amodal mask is damaged",
    ),
    "NaN": (lambda r: changed(r, score=float("nan")), "score is nan; must be a finite number"),
    "infinity": (
        lambda r: changed(r, score=float("-inf")),
        "score is -inf; must be a finite number",
    ),
    "too large": (
        lambda r: changed(r, score="here").replace('"here"', "1e999"),
        "score is ",
    ),
    "NaN in a box": (
        lambda r: changed(r, bbox=[0, 0, float("nan"), 1]),
        "box [0, 0, nan, 1] is wrong; must be four finite numbers [x, y, width, height]",
    ),
    "text": (lambda r: changed(r, score="high"), "score is 'high'; must be a finite number"),
    "missing": (
        lambda r: json.dumps({key: value for key, value in r.items() if key != "track_id"}),
        "has no 'track_id'",
    ),
    "not an object": (lambda _: "[1, 2]", "is not a JSON object"),
    "not JSON": (lambda _: '{"image_id": }', "not valid JSON"),
    "half a line": (lambda r: json.dumps(r)[:60], "not valid JSON"),
    "too deep": (lambda _: "[" * 100_000, "not valid JSON (nested too deeply)"),
}


@pytest.mark.parametrize(
    ("name", "packed"), [*((name, False) for name in BAD), ("NaN", True), ("not JSON", True)]
)
def test_a_bad_line_is_named(command, tmp_path: Path, name: str, packed: bool) -> None:
    joint, predictions = random_scene(2)
    make, message = BAD[name]
    lines = [json.dumps(record) for record in predictions]
    lines[2] = make(predictions[2])
    truth, found = write_inputs(tmp_path, joint, [])
    text = "".join(line + "\n" for line in lines).encode()
    if packed:
        found = found.with_suffix(".jsonl.gz")
    found.write_bytes(gzip.compress(text) if packed else text)
    code, shown, errors = command(
        *arguments(truth, found, tmp_path / "metrics.json"), "--details", tmp_path / "details.json"
    )
    assert (code, shown) == (2, "")
    assert errors.startswith(f"vatrack: error: {found}: line 3: {message}")
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "metrics.json").exists()
    assert not (tmp_path / "details.json").exists()


def test_a_track_twice_in_a_frame_is_named_with_the_second_line(command, tmp_path: Path) -> None:
    joint, predictions = random_scene(2)
    truth, found = write_inputs(tmp_path, joint, [*predictions, predictions[1] | {"score": 0.125}])
    code, _, errors = command(*arguments(truth, found, tmp_path / "metrics.json"))
    track, image = predictions[1]["track_id"], predictions[1]["image_id"]
    assert code == 2
    assert f"line {len(predictions) + 1}: track_id {track} occurs twice in image {image}" in errors


def test_half_a_last_line(command, tmp_path: Path) -> None:
    joint, predictions = random_scene(2)
    truth, found = write_inputs(tmp_path, joint, predictions)
    text = found.read_text()
    found.write_text(text[: -len(json.dumps(predictions[-1])) // 2])
    code, _, errors = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert code == 2
    assert (
        f"line {len(predictions)}: not valid JSON (unexpected end of data), or the file is "
        "truncated here; create the predictions" in errors
    )
    found.write_text(text.removesuffix("\n"))  # only the line's end is missing: nothing is lost
    assert command(*arguments(truth, found, tmp_path / "metrics.json"))[0] == 0


def test_an_empty_file_is_said_to_be_empty(command, tmp_path: Path) -> None:
    joint, _ = random_scene(2)
    truth, found = write_inputs(tmp_path, joint, [])
    images, videos = (counted(len(joint[key]), key[:-1]) for key in ("images", "videos"))
    told = f"contains no predictions, so all objects in {images} of {videos} count as missed; "
    with pytest.warns(UserWarning, match=f"{found}: {told}"):
        code, shown, _ = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert code == 0
    assert "the file has no predictions; all metrics are those of an empty result" in shown
    assert read_json(tmp_path / "metrics.json")["image/amodal/AP"] == 0
    packed = found.with_suffix(".jsonl.gz")
    packed.write_bytes(b"")  # not even what gzip makes of nothing
    code, _, errors = command(*arguments(truth, packed, tmp_path / "metrics.json"))
    assert code == 2
    assert "is empty" in errors
    packed.write_bytes(gzip.compress(b""))
    with pytest.warns(UserWarning, match=f"{packed}: {told}"):
        assert command(*arguments(truth, packed, tmp_path / "metrics.json"))[0] == 0


def test_a_file_of_which_nothing_is_left_is_not_said_to_be_empty(command, tmp_path: Path) -> None:
    joint, predictions = random_scene(2)
    truth, found = write_inputs(tmp_path, joint, predictions)
    drop = [f"--class-map={item['id']}=" for item in joint["categories"]]
    code, shown, _ = command(*arguments(truth, found, tmp_path / "metrics.json"), *drop)
    assert code == 0
    assert "no prediction is left, because their classes are not in the ground truth or " in shown
    assert "the file has no predictions" not in shown


def test_the_ground_truth_of_another_subset_is_named(
    command, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    joint, predictions = random_scene(2)
    for video in joint["videos"]:
        video["name"] = f"a__{video['id']}"
    truth, found = write_inputs(tmp_path, joint, predictions)
    first, last = joint["videos"][0]["name"], joint["videos"][-1]["name"]
    beside = found.with_name("inference.yaml")
    for begin, told in ((first, False), ("b__0", True)):
        recwarn.clear()
        clips = {"number": 3, "first": begin, "last": last}
        write_yaml(beside, {"predictions": found.name, "clips": clips})
        assert command(*arguments(truth, found, tmp_path / "metrics.json"))[0] == 0
        shown = [str(one.message) for one in recwarn if "predicted for" in str(one.message)]
        assert shown == told * [
            f"{found}: predicted for 3 clips (b__0 to {last}, see inference.yaml), but {truth} has "
            "no clip b__0; give the ground truth of the same subset (train or valid)"
        ]
    # The same ends, but other cuts between them.
    for number in (2, 3, 4):
        recwarn.clear()
        clips = {"number": number, "first": first, "last": last}
        write_yaml(beside, {"predictions": found.name, "clips": clips})
        assert command(*arguments(truth, found, tmp_path / "metrics.json"))[0] == 0
        shown = [str(one.message) for one in recwarn if "predicted for" in str(one.message)]
        assert shown == (number != 3) * [
            f"{found}: predicted for {number} clips ({first} to {last}, see inference.yaml), but "
            f"{truth} has 3 clips; predict again if the clips were divided anew"
        ]
    # With neither end there are most likely none of these clips.
    out = tmp_path / "none.json"
    clips = {"number": 3, "first": "b__0", "last": "b__9"}
    write_yaml(beside, {"predictions": found.name, "clips": clips})
    code, _, errors = command(*arguments(truth, found, out))
    assert (code, out.exists()) == (2, False)
    assert f"{found}: predicted for 3 clips (b__0 to b__9, see inference.yaml), but " in errors
    assert f"{truth} has neither the first nor the last of them; {SAME_SUBSET}, or " in errors
    # A damaged note says nothing.
    for damaged in ({"number": "many"}, {"number": None}, {"last": None}, {"first": 3}):
        recwarn.clear()
        clips = {"number": 3, "first": "b__0", "last": last} | damaged
        write_yaml(beside, {"predictions": found.name, "clips": clips})
        assert command(*arguments(truth, found, tmp_path / "metrics.json"))[0] == 0
        assert not [one for one in recwarn if "predicted for" in str(one.message)]
    # Without such a note only the ids tell.
    beside.unlink()
    for number, image in enumerate(joint["images"]):
        image["id"] += 1000 * (number == 0)
    joint["annotations"] = []
    found.write_text(json.dumps(predictions[0] | {"image_id": joint["images"][0]["id"] - 1000}))
    write_json(truth, joint)
    code, _, errors = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert code == 2 and errors.endswith(f": {SAME_SUBSET}\n")


def test_many_videos_without_predictions_make_another_subset_likely(
    command, tmp_path: Path
) -> None:
    joint, predictions = many_videos(0)
    video = {image["id"]: image["video_id"] for image in joint["images"]}
    seen = video[predictions[0]["image_id"]]
    some = [one for one in predictions if video[one["image_id"]] == seen]
    for kept, told in ((some, True), (predictions, False)):
        truth, found = write_inputs(tmp_path, joint, kept)
        code, shown, _ = command(*arguments(truth, found, tmp_path / "metrics.json"))
        assert (code, f"(if the predictions are for another subset, {SAME_SUBSET})" in shown) == (
            0,
            told,
        )


def test_advice_on_the_subset_ends_the_counts() -> None:
    names = ["a__1", "b__7", "c__2"]
    shown = str(Evaluated(Path("m.json"), {}, 300, 70, 260, 7, 26, 129, 9, 5, names))
    assert shown.startswith(
        "wrote m.json: 300 detections in 70 of 260 images, 7 of 26 videos (a__1 to c__2); 129 "
        "tracks, 9 of them with detections of more than one class; 5 detections left out, of "
        "classes that are not in the ground truth or dropped (if the predictions are for another "
        "subset, "
    )


def test_detections_that_fit_no_object_make_another_subset_likely(command, tmp_path: Path) -> None:
    """Where ids and sizes are the same, nothing else tells; the names of the videos are shown."""
    joint, predictions = many_videos(0)
    images = sorted({one["image_id"] for one in predictions})
    turned = dict(zip(images, images[len(images) // 2 :] + images[: len(images) // 2], strict=True))
    moved = [one | {"image_id": turned[one["image_id"]]} for one in predictions]
    told = f"(if the predictions are for another subset, {SAME_SUBSET})"
    for kept, likely in ((moved, True), (predictions, False)):
        truth, found = write_inputs(tmp_path, joint, kept)
        code, shown, _ = command(*arguments(truth, found, tmp_path / "metrics.json"))
        assert (code, told in shown) == (0, likely)
        assert "9 of 9 videos (clip 1 to clip 9); " in shown
    # The note beside the predictions knows better.
    truth, found = write_inputs(tmp_path, joint, moved)
    clips = {"number": 9, "first": "clip 1", "last": "clip 9"}
    write_yaml(found.with_name("inference.yaml"), {"predictions": found.name, "clips": clips})
    assert told not in command(*arguments(truth, found, tmp_path / "metrics.json"))[1]


@pytest.mark.slow
@pytest.mark.usefixtures("served_workers")
def test_of_several_errors_the_first_line_is_named(command, tmp_path: Path) -> None:
    joint, predictions = many_videos(1)
    lines = predictions[::-1]  # the last video comes first
    last = len(lines)
    truth, found = write_inputs(tmp_path, joint, [])

    def named(wrong: dict[int, Json], processes: int = 1) -> str:
        records = [record | wrong.get(number, {}) for number, record in enumerate(lines, 1)]
        found.write_text("".join(json.dumps(record) + "\n" for record in records))
        code, _, errors = command(
            *arguments(truth, found, tmp_path / "metrics.json"), "--processes", processes
        )
        assert code == 2
        return errors

    # What the reader finds (unknown images) and what the workers find, in any order.
    assert f"line {last - 1}: score is" in named(
        {last - 1: {"score": float("nan")}, last: {"image_id": 9999}}
    )
    assert f"line {last // 2}: image_id is" in named(
        {last // 2: {"image_id": None}, last - 2: {"score": None}}
    )
    several: dict[int, Json] = {
        3: {"track_id": "x"},
        last - 2: {"score": None},
        last // 2: {"image_id": None},
    }
    assert "line 3: track_id is" in named(several)
    assert named(several, 2) == named(several)
    # A wrong ground truth is named after all wrong predictions, and the first video of several.
    for video in (9, 4):
        annotation = next(a for a in joint["annotations"] if a["video_id"] == video)
        annotation["visible_mask"] = None
    truth.write_bytes(gzip.compress(json.dumps(joint).encode()))
    assert f"visible_mask of annotation {annotation['id']} is not a mask" in named({})
    assert named({}, 2) == named({})
    assert "line 2: unknown category_id 77" in named({2: {"category_id": 77}})
