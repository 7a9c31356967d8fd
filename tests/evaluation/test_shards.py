"""Evaluations in shards: merged, they are the bytes of one evaluation, or nothing is merged."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.command import Command
from tests.evaluation.shards import (
    Inputs,
    Json,
    given_tracks,
    merged,
    message,
    refusal,
    ten_videos,
    write,
)
from vatrack.common.mask_types import MASK_TYPES
from vatrack.config import Backbone, Config, EvaluationConfig, Method
from vatrack.config.training import MlflowConfig
from vatrack.evaluation.shards import merge_evaluations


def _plain(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    return write(folder, joint, predictions)


def _published(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    switches = EvaluationConfig(extended=False, max_tracks=3, detection_area="mask")
    return replace(write(folder, joint, predictions), switches=switches, video_max_occlusion=0.5)


def _tracks(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    return replace(write(folder, joint, predictions), video=given_tracks(folder, joint))


def _classes(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    first, second, *_ = (entry["name"] for entry in joint["categories"])
    class_map = {"1": second, "2": first, "3": ""}
    return replace(write(folder, joint, predictions), class_map=class_map)


def _one_mask_type(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    return write(folder, joint, [one | {"amodal": None} for one in predictions])


def _single_images(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    for entry in joint["videos"]:
        entry["tracks"] = False
    return write(folder, joint, predictions)


def _nothing_found(folder: Path, joint: Json, _: list[Json]) -> Inputs:
    return write(folder, joint, [])


Variant = Callable[[Path, Json, list[Json]], Inputs]
VARIANTS: list[Variant] = [
    _plain,
    _published,
    _tracks,
    _classes,
    _one_mask_type,
    _single_images,
    _nothing_found,
]


def warned_of(variant: Variant) -> AbstractContextManager[object]:
    if variant is _nothing_found:
        return pytest.warns(UserWarning, match="contains no predictions")
    return nullcontext()


Whole = Callable[[Variant], tuple[Inputs, tuple[bytes, bytes, str]]]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The files of a variant and what one evaluation makes of them, once for all tests."""

    @cache
    def evaluate(variant: Variant) -> tuple[Inputs, tuple[bytes, bytes, str]]:
        folder = tmp_path_factory.mktemp("variant")
        inputs = variant(folder, *ten_videos())
        with warned_of(variant):
            return inputs, inputs.whole(folder)

    return evaluate


# Fewer shards than videos, and so many that some have no video; every number with one variant.
COUNTS: list[tuple[Variant, int]] = [(_plain, count) for count in (1, 2, 3, 7, 25)]
COUNTS += [(variant, count) for variant in VARIANTS[1:] for count in (3, 25)]
QUICK = {(_plain, count) for count in (3, 25)} | {(variant, 3) for variant in VARIANTS[1:]}


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        pytest.param(
            variant,
            count,
            id=f"{variant.__name__[1:]}-{count}",
            marks=[] if (variant, count) in QUICK else [pytest.mark.slow],
        )
        for variant, count in COUNTS
    ],
)
def test_merged_they_are_the_bytes_of_one_evaluation(
    evaluated: Whole, tmp_path: Path, variant: Variant, count: int
) -> None:
    inputs, whole = evaluated(variant)
    with warned_of(variant):
        shards = inputs.shards(count, tmp_path)
    assert merged(shards[::-1], tmp_path) == whole  # in any order
    alone = tmp_path / "alone.json"
    merge_evaluations(shards, alone)
    assert alone.read_bytes() == whole[0]


@pytest.mark.parametrize("noted", [True, False])
def test_merged_they_know_too_that_the_predictions_are_for_these_videos(
    noted: bool, tmp_path: Path
) -> None:
    joint, predictions = ten_videos()
    inputs = write(tmp_path, joint, predictions[:1])
    first, *_, last = (video["name"] for video in joint["videos"])
    note = {"predictions": inputs.predictions.name}
    clips = {"number": len(joint["videos"]), "first": first, "last": last}
    inputs.predictions.with_name("inference.yaml").write_text(
        yaml.safe_dump(note | ({"clips": clips} if noted else {}))
    )
    whole = inputs.whole(tmp_path)
    assert ("for another subset" in whole[2]) != noted
    assert merged(inputs.shards(2, tmp_path), tmp_path) == whole


def test_the_variants_are_different(evaluated: Whole) -> None:
    documents = set()
    for variant in VARIANTS:
        _, (metrics, details, _) = evaluated(variant)
        documents.add(metrics + details)
        assert json.loads(details)["per_video"]["nothing in it"]["image/visible"]["AP"] is None
    assert len(documents) == len(VARIANTS)


@pytest.mark.slow
@pytest.mark.usefixtures("served_workers")
def test_a_shard_does_not_depend_on_its_processes(tmp_path: Path) -> None:
    inputs = write(tmp_path, *ten_videos())
    again = tmp_path / "again"
    again.mkdir()
    for number in (1, 2):
        one = inputs.shard(number, 2, tmp_path)
        assert inputs.shard(number, 2, again, processes=2).read_bytes() == one.read_bytes()


def test_packed_files_and_plain_ones_are_the_same(tmp_path: Path) -> None:
    inputs = write(tmp_path, *ten_videos())
    plain = tmp_path / "plain"
    plain.mkdir()
    copies = Inputs(plain / inputs.ground_truth.stem, plain / inputs.predictions.stem)
    copies.ground_truth.write_bytes(gzip.decompress(inputs.ground_truth.read_bytes()))
    copies.predictions.write_bytes(gzip.decompress(inputs.predictions.read_bytes()))
    shards = [inputs.shard(1, 2, tmp_path), copies.shard(2, 2, plain)]
    assert merged(shards, tmp_path) == inputs.whole(tmp_path)


def test_boxes_are_warned_of_once_for_all(tmp_path: Path) -> None:
    joint, predictions = ten_videos()
    for one in predictions:
        x, y, width, height = one["bbox"]
        one["bbox"] = [x, y, x + width, y + height]
    inputs = write(tmp_path, joint, predictions)
    with pytest.warns(UserWarning, match="not two corners") as whole:
        inputs.whole(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shards = inputs.shards(3, tmp_path)
    with pytest.warns(UserWarning, match="not two corners") as after:
        merged(shards, tmp_path)
    assert [str(one.message) for one in after] == [str(one.message) for one in whole]


def test_each_shard_names_the_first_wrong_prediction_of_all(tmp_path: Path) -> None:
    joint, predictions = ten_videos()
    lines = predictions[::-1]  # the last video comes first
    last = len(lines)
    cases: list[dict[int, Json]] = [
        {2: {"score": None}, last: {"score": "high"}},
        {last // 2: {"score": float("nan")}, last // 3: {"track_id": "x"}, last: {"score": None}},
        {last // 2: {"image_id": 9999}, 3: {"track_id": 1.5}},  # known to all shards
        {last: {"category_id": 77}, last - 1: {"category_id": 78}},
    ]
    for wrong in cases:
        records = [record | wrong.get(number, {}) for number, record in enumerate(lines, 1)]
        inputs = write(tmp_path, joint, records)
        expected = message(inputs.whole, tmp_path)
        assert f": line {min(wrong)}: " in expected
        said = []
        for number in (1, 2, 3, 4):
            shard = tmp_path / f"{number}.npz"
            shard.write_bytes(b"of an earlier evaluation")
            said.append(refusal(inputs.shard, number, 4, tmp_path))
            assert shard.exists() == (said[-1] is None)
        everywhere = any("image_id" in change for change in wrong.values())
        assert set(said) == ({expected} if everywhere else {expected, None})
    assert not list(tmp_path.glob(".*")), "scratch folders are removed"


def test_a_wrong_ground_truth_is_named_after_all_wrong_predictions(tmp_path: Path) -> None:
    joint, predictions = ten_videos()
    for video in (9, 4):
        annotation = next(a for a in joint["annotations"] if a["video_id"] == video)
        annotation["visible_mask"] = None
    inputs = write(tmp_path, joint, predictions)
    whole = message(inputs.whole, tmp_path)
    assert f"visible_mask of annotation {annotation['id']} is not a mask" in whole
    numbers = range(1, 11)
    said = [refusal(inputs.shard, n, 10, tmp_path) for n in numbers]
    first, second = (one for one in said if one is not None)
    assert first == whole
    assert "is not a mask" in second and second != first
    predictions[0] = predictions[0] | {"score": None}  # of a video between these two
    inputs = write(tmp_path, joint, predictions)
    again = [refusal(inputs.shard, n, 10, tmp_path) for n in numbers]
    told = f"{inputs.predictions}: line 1: score is None; must be a finite number"
    wrong = [one for one in again if one is not None]
    assert len(wrong) == 3 and all(one.startswith(told) for one in wrong)


def test_the_commands(vatrack: Command, tmp_path: Path) -> None:
    inputs = write(tmp_path, *ten_videos())
    folder = tmp_path / "run"
    folder.mkdir()
    run = Config(mlflow=MlflowConfig(enabled=False)).for_run(Method.VATRACK, Backbone.RESNET18)
    (folder / "config.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
    made_from = {"sha256": "a1", "checkpoint": {"epoch": 2, "sha256": "b2"}}
    notes = {"predictions": inputs.predictions.name, **made_from}
    inputs.predictions.with_name("inference.yaml").write_text(yaml.safe_dump(notes))
    options = ["--ground-truth", inputs.ground_truth, "--predictions", inputs.predictions]
    options += ["--set", "evaluation.max_tracks=4"]
    code, whole, _ = vatrack("evaluate", *options, "--out", tmp_path / "metrics.json")
    assert code == 0
    shards = [tmp_path / "shards" / f"{number}.npz" for number in (1, 2)]
    for number, shard in enumerate(shards, 1):
        code, shown, _ = vatrack("evaluate", *options, "--shard", f"{number}/2", "--out", shard)
        assert code == 0
        assert re.match(rf"wrote {shard}: shard {number}/2, \d+ detections in \d of 10 vid", shown)
    out = folder / "metrics.json"
    code, shown, _ = vatrack(
        "merge-evaluations", *shards, "--out", out, "--details", folder / "d.json", "--run", folder
    )
    assert (code, shown.replace(str(out), "")) == (
        0,
        whole.replace(str(tmp_path / "metrics.json"), ""),
    )
    assert out.read_bytes() == (tmp_path / "metrics.json").read_bytes()
    noted = (folder / "evaluation.yaml").read_text()
    truth = gzip.decompress(inputs.ground_truth.read_bytes())
    digest = hashlib.sha256(truth).hexdigest()
    assert yaml.safe_load(noted) == {
        **EvaluationConfig(max_tracks=4).model_dump(),
        "ground_truth": {"joint": digest, "video_max_occlusion": 0.75},
        "predictions": made_from,
    }
    (folder / "evaluation.yaml").unlink()
    plain = tmp_path / "plain.json"
    plain.write_bytes(truth)
    code, _, errors = vatrack(
        "evaluate", "--ground-truth", plain, *options[2:], "--run", folder, "--out", out
    )
    assert code == 0, errors
    assert (folder / "evaluation.yaml").read_text() == noted
    code, _, errors = vatrack("evaluate", *options, "--shard", "3/2", "--out", shards[0])
    assert (code, "give NUMBER/COUNT" in errors) == (2, True), errors
    code, _, errors = vatrack(
        "evaluate", *options, "--shard", "1/2", "--out", shards[0], "--details", tmp_path / "d"
    )
    assert (code, "shards have no details; give --details to `vatrack merge-ev" in errors) == (
        2,
        True,
    )
    code, _, errors = vatrack("merge-evaluations", shards[0], "--out", out)
    assert (code, errors) == (
        2,
        f"vatrack: error: {shards[0]}: is shard 1/2, but 2/2 is missing; evaluate it "
        "(`vatrack evaluate --shard 2/2`) and give all shards\n",
    )


def without_visible(predictions: list[Json], every: int) -> list[Json]:
    """Predictions of which every so many-th has no visible mask; the third is the first one."""
    return [
        one | ({"visible": None} if number % every == 3 % every else {})
        for number, one in enumerate(predictions, 1)
    ]


@pytest.mark.parametrize("array", [False, True])
def test_missing_masks_are_counted_and_the_first_is_named(tmp_path: Path, array: bool) -> None:
    joint, predictions = ten_videos()
    spoilt = without_visible(predictions, 5)[::-1]  # the last video comes first
    first = next(number for number, one in enumerate(spoilt, 1) if one["visible"] is None)
    count = sum(one["visible"] is None for one in spoilt)
    assert 1 < count < len(spoilt) / 3
    inputs = write(tmp_path, joint, spoilt)
    if array:
        inputs.predictions.write_bytes(gzip.compress(json.dumps(spoilt).encode()))
    where = "item" if array else "line"
    told = (
        f"{inputs.predictions}: {where} {first}: has no visible mask ({count} of {len(spoilt)} "
        "predictions without); "
    )
    with pytest.warns(UserWarning, match="has no visible mask") as whole:
        expected = inputs.whole(tmp_path)
    assert [str(one.message).startswith(told) for one in whole] == [True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shards = inputs.shards(3, tmp_path)
    with pytest.warns(UserWarning, match="has no visible mask") as after:
        assert merged(shards, tmp_path) == expected
    assert [str(one.message) for one in after] == [str(one.message) for one in whole]
    # The visible metrics are those without these predictions, the amodal ones those of all.
    metrics = json.loads(expected[0])
    kept = [one for one in spoilt if one["visible"] is not None]
    for mask_type, same in (("visible", kept), ("amodal", predictions[::-1])):
        alone = json.loads(write(tmp_path, joint, same).whole(tmp_path)[0])
        for key, value in alone.items():
            if f"/{mask_type}/" in key:
                assert metrics[key] == value, key


def test_masks_that_a_method_lacks_are_no_gap(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    joint, predictions = ten_videos()
    amodal = [one | {"visible": None} for one in predictions]
    inputs = write(tmp_path, joint, amodal)
    inputs.whole(tmp_path)
    replace(inputs, masks=("amodal",)).whole(tmp_path)
    assert [str(one.message) for one in recwarn] == []
    # The method has both, so that something is wrong with the file.
    both = replace(inputs, masks=MASK_TYPES)
    said = message(both.whole, tmp_path)
    assert said.startswith(f"{inputs.predictions}: no prediction has visible masks, although ")
    assert message(both.shard, 1, 2, tmp_path) == said
    replace(write(tmp_path, joint, []), masks=MASK_TYPES).whole(tmp_path)


def test_tracks_that_nothing_is_measured_on_are_warned_of(tmp_path: Path) -> None:
    joint, predictions = ten_videos()
    inputs = write(tmp_path, joint, [one | {"visible": None} for one in predictions])
    given = replace(inputs, video=given_tracks(tmp_path, joint))
    with pytest.warns(UserWarning, match="is not used") as said:
        given.whole(tmp_path)
    assert [str(one.message) for one in said if one.category is UserWarning] == [
        f"{inputs.predictions}: no prediction has visible masks, so {given.video['visible']} is "
        "not used; check the file if that is not meant"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replace(given, masks=("amodal",)).whole(tmp_path)  # the method has no others
