"""`vatrack evaluate` on files: the same numbers for any number of processes and order of lines; bad
input; details."""

import gzip
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.test_cli import run
from tests.evaluation.evaluated import evaluate_scene, metrics_of
from tests.evaluation.scenes import random_scene
from tests.evaluation.test_evaluate import write_inputs
from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import write_json, write_yaml
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.value_files import read_json
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation import measuring
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.evaluation.io.prediction_file import SAME_SUBSET
from vatrack.evaluation.mot.measures import track_metrics
from vatrack.evaluation.one_video import measure_video
from vatrack.evaluation.summary import Evaluated

Json = dict[str, Any]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Runs `vatrack evaluate`; returns code, output, errors."""
    return lambda *arguments: run(capsys, monkeypatch, "evaluate", *arguments)


def many_videos(seed: int) -> tuple[Json, list[Json]]:
    """Several scenes as one dataset of 9 videos with equal scores; the images of the videos are
    numbered in turns."""
    joint: Json = {}
    predictions: list[Json] = []
    for scene in range(3):
        one, found = random_scene(10 * seed + scene, tied=True)
        for entry in one["videos"]:
            entry["id"] += 3 * scene
            entry["name"] = f"clip {entry['id']}"
        for entry in one["images"] + one["annotations"]:
            entry["video_id"] += 3 * scene
        for entry in one["images"]:
            entry["id"] = 3 * entry["id"] + scene
        for entry in one["annotations"] + found:
            entry["image_id"] = 3 * entry["image_id"] + scene
        for entry in one["annotations"]:
            entry["id"] += 1000 * scene
        joint = {key: joint.get(key, []) + values for key, values in one.items()} | {
            "categories": one["categories"]
        }
        predictions += found
    return joint, predictions


def arguments(truth: Path, found: Path, out: Path) -> list[Any]:
    return ["--ground-truth", truth, "--predictions", found, "--out", out]


@pytest.mark.slow
@pytest.mark.usefixtures("served_workers")
def test_numbers_do_not_depend_on_processes_or_the_order_of_lines(command, tmp_path: Path) -> None:
    joint, predictions = many_videos(1)
    expected = metrics_of(joint, predictions)
    assert 0 < expected["video/visible/AP50"] < 100
    # Lines of all videos mixed; those of one image, which rank equal scores, stay in their order.
    random = np.random.default_rng(0)
    by_image: dict[int, list[Json]] = {}
    for record in predictions:
        by_image.setdefault(record["image_id"], []).append(record)
    turns = random.permutation([record["image_id"] for record in predictions]).tolist()
    queues = {image: iter(records) for image, records in by_image.items()}
    mixed = [next(queues[image]) for image in turns]
    assert mixed != predictions
    documents = []
    for number, records in enumerate((predictions, mixed)):
        folder = tmp_path / str(number)
        folder.mkdir()
        truth, found = write_inputs(folder, joint, records)
        tracks = {mask_type: folder / f"video_{mask_type}.json.gz" for mask_type in MASK_TYPES}
        for mask_type, path in tracks.items():
            path.write_bytes(
                gzip.compress(json.dumps(video_ground_truth(joint, mask_type, 0.75)).encode())
            )
        for processes in (1, 2):
            out, details = folder / f"{processes}.json", folder / f"details{processes}.json"
            options = ["--processes", processes, "--details", details]
            if processes == 2:
                options += [
                    "--video-ground-truth-amodal",
                    tracks["amodal"],
                    "--video-ground-truth-visible",
                    tracks["visible"],
                ]
            code, shown, _ = command(*arguments(truth, found, out), *options)
            assert code == 0
            seen = {record["image_id"] for record in records}
            assert (
                f": {len(records)} detections in {len(seen)} of {len(joint['images'])} images, "
                in shown
            )
            documents.append((out.read_bytes(), details.read_bytes()))
    assert read_json(tmp_path / "0" / "1.json") == expected
    assert len(set(documents)) == 1


# Ways to write the same line; the reader looks for `image_id` at its beginning only.
FORMS: dict[str, Callable[[Json], str]] = {
    "no spaces": lambda r: json.dumps(r, separators=(",", ":")),
    "many spaces": lambda r: (
        " " + json.dumps(r, separators=(" , ", " : ")).replace("{", "{ ") + " "
    ),
    "image last": lambda r: json.dumps({key: r[key] for key in reversed(r)}),
    "image spelled": lambda r: json.dumps(r).replace("image_id", "im\\u0061ge_id"),
    "spelled": lambda r: json.dumps(r).replace("visible", "vi\\u0073ible"),
    "image of another before": lambda r: json.dumps({"other": {"image_id": 1}, **r}),
    "image of another behind": lambda r: json.dumps({**r, "other": {"image_id": 1}}),
    "blank lines": lambda r: json.dumps(r) + "\n \n",
}


@cache
def late_or_not(late: bool) -> tuple[Json, list[Json], Json]:
    """Ground truth, predictions and their metrics; `late`: the first mask of a mask type comes at
    the end."""
    joint, predictions = many_videos(0)
    if late:
        predictions = [record | {"visible": None} for record in predictions[:-3]] + predictions[-3:]
    metrics = metrics_of(joint, predictions)
    assert "video/visible/AP" in metrics
    return joint, predictions, metrics


@pytest.mark.filterwarnings("ignore:.*has no visible mask:UserWarning")  # those that come late
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("late", [False, True])
def test_lines_may_be_written_in_any_way(command, tmp_path: Path, form: str, late: bool) -> None:
    joint, predictions, metrics = late_or_not(late)
    truth, found = write_inputs(tmp_path, joint, [])
    found.write_text("".join(FORMS[form](record) + "\n" for record in predictions))
    assert command(*arguments(truth, found, tmp_path / "metrics.json"))[0] == 0
    assert read_json(tmp_path / "metrics.json") == metrics


def test_a_line_that_names_two_images_is_refused(command, tmp_path: Path) -> None:
    joint, predictions = many_videos(0)
    lines = [json.dumps(record) for record in predictions]
    last = joint["images"][-1]["id"]
    assert predictions[1]["image_id"] != last
    lines[1] = lines[1][:-1] + f', "image_id": {last}}}'
    truth, found = write_inputs(tmp_path, joint, [])
    found.write_text("\n".join(lines))
    code, _, errors = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert code == 2
    assert "line 2: not valid JSON (its key `image_id` occurs twice)" in errors


def test_joining_reads_no_more_than_one_video_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command
) -> None:
    joint, predictions = many_videos(0)
    seen = []

    def watched(video: Any, protocol: Any, check_only: bool) -> Any:
        predictions = list(video.predictions)
        images = {image["id"] for image in video.document["images"]}
        assert {entry["image_id"] for entry in video.document["annotations"]} <= images
        assert {record["image_id"] for _, record in predictions} <= images
        seen.append(len(predictions))
        return measure_video(
            type(video)(video.document, predictions, video.tracks), protocol, check_only
        )

    monkeypatch.setattr(measuring, "measure_video", watched)
    truth, found = write_inputs(tmp_path, joint, predictions)
    assert command(*arguments(truth, found, tmp_path / "metrics.json"))[0] == 0
    assert len(seen) == 9
    assert sum(seen) == len(predictions)
    assert max(seen) < len(predictions)


def test_details(command, tmp_path: Path) -> None:
    joint, predictions = many_videos(2)
    joint["videos"].append(joint["videos"][0] | {"id": 50, "name": "nothing in it"})
    truth, found = write_inputs(tmp_path, joint, predictions)
    out, details = tmp_path / "metrics.json", tmp_path / "new" / "details.json"
    assert command(*arguments(truth, found, out))[0] == 0
    assert not details.exists()
    assert command(*arguments(truth, found, out), "--details", details)[0] == 0
    document = read_json(details)
    assert list(document) == ["per_class", "per_video", "classes", "curves"]
    metrics = read_json(out)
    for level, curves in document["curves"].items():
        for name, column in (("IoU50", "AP50"), ("IoU75", "AP75")):
            assert len(curves[name]) == 101
            mean = 100 * float(np.mean(curves[name]))
            assert mean == pytest.approx(metrics[f"{level}/{column}"], abs=0.01)
    assert document["classes"] == [entry["name"] for entry in joint["categories"]]
    mask_types = ("amodal", "visible", "amodal_box", "visible_box")
    levels = [
        f"{level}/{mask_type}"
        for level in ("image", "video", "track")
        for mask_type in mask_types[: 2 if level == "video" else 4]
    ]
    hidden = "image/hidden"
    assert set(document["per_class"]) == {*levels, hidden}
    names = {entry["id"]: entry["name"] for entry in joint["categories"]}
    whole = evaluate_scene(joint, predictions)
    for level, classes in whole.per_class.items():
        assert document["per_class"][level] == {
            names[category]: values for category, values in classes.items()
        }
        for column in ("AP", "AR1", "AR100") if level != hidden else ():
            assert np.mean([values[column] for values in classes.values()]) == pytest.approx(
                whole.metrics[f"{level}/{column}"]
            )
    for mask_type, counts in whole.tracking.items():
        for category, values in document["per_class"][f"track/{mask_type}"].items():
            assert values == track_metrics(row for row in counts if names[row.category] == category)

    assert list(document["per_video"]) == [entry["name"] for entry in joint["videos"]]
    for entry in joint["videos"]:
        images = {image["id"] for image in joint["images"] if image["video_id"] == entry["id"]}
        alone = {
            **joint,
            "videos": [entry],
            "images": [image for image in joint["images"] if image["id"] in images],
        }
        if not images:
            continue
        alone["annotations"] = [a for a in joint["annotations"] if a["image_id"] in images]
        own = [record for record in predictions if record["image_id"] in images]
        metrics = metrics_of(
            alone,
            own,
            {mask_type: {"annotations": []} for mask_type in ("amodal", "visible")}
            if not own
            else None,
        )
        for level, values in document["per_video"][entry["name"]].items():
            assert list(values) == ["AP", "AP50"] or "MOTA" in values or level == hidden
            if own or not level.startswith("video"):
                assert values == {column: metrics[f"{level}/{column}"] for column in values}
    assert document["per_video"]["nothing in it"]["image/amodal"] == {"AP": None, "AP50": None}


@pytest.mark.parametrize(
    ("place", "name", "message"),
    [
        ("videos", "clip 2", "items 1 and 2 of 'videos' are both named 'clip 2'"),
        ("categories", ["x"], "item 1 of 'categories'"),
    ],
)
def test_details_need_names_that_tell_apart(
    command, tmp_path: Path, place: str, name: Any, message: str
) -> None:
    joint, predictions = many_videos(0)
    joint[place][0]["name"] = name
    truth, found = write_inputs(tmp_path, joint, predictions)
    out = tmp_path / "metrics.json"
    code, _, errors = command(*arguments(truth, found, out), "--details", tmp_path / "details.json")
    assert code == 2
    assert message in errors
    assert not out.exists()
    assert command(*arguments(truth, found, out))[0] == 0


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


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("packed", [False, True])
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
    write_yaml(beside, {"predictions": found.name, "clips": clips | {"number": 8, "first": first}})
    with pytest.warns(UserWarning, match=rf"for 8 clips \({first} to {last}.* has 3 clips; give"):
        assert command(*arguments(truth, found, tmp_path / "metrics.json"))[0] == 0
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


def test_a_ground_truth_without_the_masks_names_the_file_that_has_them(
    command, tmp_path: Path
) -> None:
    joint, predictions = random_scene(2)
    for item in joint["annotations"]:
        del item["amodal_mask"]
    truth, found = write_inputs(tmp_path, joint, predictions)
    code, _, errors = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert code == 2 and "has no 'amodal_mask'; give joint.json from `vatrack convert`" in errors


def test_tracks_of_two_classes_are_counted(command, tmp_path: Path) -> None:
    joint, predictions = many_videos(0)
    classes: dict[tuple[int, int], set[int]] = {}
    videos = {image["id"]: image["video_id"] for image in joint["images"]}
    for record in predictions:
        classes.setdefault((videos[record["image_id"]], record["track_id"]), set()).add(
            record["category_id"]
        )
    mixed = sum(len(found) > 1 for found in classes.values())
    assert mixed > 0
    truth, found = write_inputs(tmp_path, joint, predictions)
    _, shown, _ = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert (
        f"{len(classes)} tracks, {mixed} of them with detections of more than one class\n" in shown
    )
    truth, found = write_inputs(
        tmp_path, joint, [record | {"category_id": 1} for record in predictions]
    )
    _, shown, _ = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert f"{len(classes)} tracks\n" in shown


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


def test_wrong_ground_truth_is_named(command, tmp_path: Path) -> None:
    joint, predictions = many_videos(1)
    truth, found = write_inputs(
        tmp_path,
        joint | {"annotations": [*joint["annotations"], {"id": 7, "image_id": 12345}]},
        predictions,
    )
    code, _, errors = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert code == 2
    assert errors.startswith(
        f"vatrack: error: {truth}: item 7 of 'annotations' has image_id 12345, which is not listed"
    )
    truth, found = write_inputs(tmp_path, joint, predictions)
    tracks = tmp_path / "tracks.json"
    tracks.write_text(json.dumps({"annotations": [{"id": 3, "video_id": 77}]}))
    code, _, errors = command(
        *arguments(truth, found, tmp_path / "metrics.json"), "--video-ground-truth-amodal", tracks
    )
    assert code == 2
    assert errors.startswith(
        f"vatrack: error: {tracks}: item 3 of 'annotations' has video_id 77, which is not listed"
    )
    tracks.write_text(json.dumps({"annotations": [{"id": 3, "video_id": 4, "category_id": 1}]}))
    code, _, errors = command(
        *arguments(truth, found, tmp_path / "metrics.json"), "--video-ground-truth-amodal", tracks
    )
    assert code == 2
    assert errors.startswith(
        f"vatrack: error: {tracks}: item 3 of 'annotations' has no 'segmentations'"
    )


@pytest.mark.usefixtures("served_workers")
def test_tracks_of_the_other_mask_type_are_refused(command, tmp_path: Path) -> None:
    joint, predictions = many_videos(1)
    truth, found = write_inputs(tmp_path, joint, predictions)
    given = {mask_type: tmp_path / f"{mask_type}.json" for mask_type in MASK_TYPES}
    for mask_type, path in given.items():
        path.write_text(json.dumps(video_ground_truth(joint, mask_type, 0.75)))

    def ended(*tracks: object, predictions: Path = found, more: tuple[object, ...] = ()) -> str:
        options = arguments(truth, predictions, tmp_path / "metrics.json")
        code, _, errors = command(*options, *tracks, *more)
        assert (code == 2) == bool(errors)
        return errors

    amodal, visible = (f"--video-ground-truth-{mask_type}" for mask_type in given)
    assert ended(amodal, given["amodal"], visible, given["visible"]) == ""
    alone = tmp_path / "amodal_alone.jsonl"  # of a method without visible masks
    rows = [
        {key: value for key, value in row.items() if "visible" not in key} for row in predictions
    ]
    alone.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = f"its masks in video 1 are the visible ones of {truth}, not the amodal ones; give it as "
    for errors in (
        ended(amodal, given["visible"], visible, given["amodal"]),
        ended(amodal, given["visible"], more=("--processes", 2)),
        ended(amodal, given["visible"], more=("--shard", "1/1", "--out", tmp_path / "1.npz")),
        ended(amodal, given["visible"], predictions=alone),
    ):
        assert errors == f"vatrack: error: {given['visible']}: {told}{visible}\n"
    assert f"are the amodal ones of {truth}, not the visible" in ended(visible, given["amodal"])

    # Masks of their own are nobody's mistake, and neither is a set in which nothing is hidden.
    own = read_json(given["visible"])
    track = next(track for track in own["annotations"] if any(track["segmentations"]))
    for place, mask in enumerate(track["segmentations"]):
        if mask is not None:
            track["segmentations"][place] = [[0, 0, 2, 0, 2, 1, 0, 1]]
    others = tmp_path / "own.json"
    others.write_text(json.dumps(own | {"annotations": [track]}))
    assert ended(amodal, others) == ""
    for annotation in joint["annotations"]:
        annotation["visible_mask"] = annotation["amodal_mask"]
    truth.write_bytes(gzip.compress(json.dumps(joint).encode()))
    assert ended(visible, given["amodal"]) == ""


def test_nothing_that_is_read_is_written_over(command, tmp_path: Path) -> None:
    joint, predictions = random_scene(2)
    truth, found = write_inputs(tmp_path, joint, predictions)
    before = found.read_bytes(), truth.read_bytes()
    for out, more, message in (
        (found, [], f"would overwrite the input {found} (predictions)"),
        (truth, [], f"would overwrite the input {truth} (ground_truth)"),
        (tmp_path / "a.json", ["--details", tmp_path / "a.json"], "is also --out"),
        (
            tmp_path / "a.json",
            ["--details", found],
            f"would overwrite the input {found} (predictions)",
        ),
        (found / "a.json", [], "part of this path is a file"),
        (tmp_path / "a.json", ["--run", tmp_path / "nowhere"], "no such folder"),
    ):
        code, _, errors = command(*arguments(truth, found, out), *more)
        assert (code, message in errors) == (2, True), errors
    assert (found.read_bytes(), truth.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([truth.name, found.name])


def test_a_results_folder_is_no_run(command, tmp_path: Path) -> None:
    truth, found = write_inputs(tmp_path, *random_scene(2))
    results = tmp_path / "results"
    (results / "runs").mkdir(parents=True)
    out = results / "metrics.json"
    code, _, errors = command(*arguments(truth, found, out), "--run", results)
    assert code == 2
    assert f"--run {results}: a results folder; give one of the folders in" in errors
    assert not out.exists()


def test_whoever_calls_the_function_is_kept_from_it_too(tmp_path: Path) -> None:
    truth, found = write_inputs(tmp_path, *random_scene(2))
    linked = tmp_path / "linked.json"
    os.link(found, linked)
    for out, details, message in (
        (linked, None, rf"linked\.json: would overwrite the input .*{found.name}"),
        (tmp_path / "a.json", truth, "would overwrite the input"),
        (tmp_path / "a.json", tmp_path / "b" / ".." / "a.json", "is also --out"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate_inputs(EvaluationInputs(truth, found), out, details=details)
