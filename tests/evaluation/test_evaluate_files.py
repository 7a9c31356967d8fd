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

from tests.evaluation.evaluated import evaluate_scene, metrics_of
from tests.evaluation.files import Json, arguments, many_videos, write_inputs
from tests.evaluation.scenes import random_scene
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES
from vatrack.common.value_files import read_json
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation import measuring
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.evaluation.mot.measures import track_metrics
from vatrack.evaluation.one_video import measure_video


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
    truth.write_bytes(gzip.compress(json.dumps(joint).encode()[:-200]))
    code, _, errors = command(*arguments(truth, found, tmp_path / "metrics.json"))
    assert code == 2 and errors.startswith(f"vatrack: error: {truth}: not valid JSON")
    assert {path.name for path in tmp_path.iterdir()} == {truth.name, found.name}
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
