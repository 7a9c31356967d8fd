"""Evaluations in shards: merged, they are the bytes of one evaluation, or nothing is merged."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.cli.test_cli import run
from tests.evaluation.test_evaluate_files import many_videos
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.shards import Shard
from vatrack.config import EvaluationConfig
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation.evaluate import evaluate_files
from vatrack.evaluation.io import shard_file
from vatrack.evaluation.shards import evaluate_shard, merge_evaluations

Json = dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """Files and settings of an evaluation."""

    truth: Path
    predictions: Path
    tracks: dict[MaskType, Path | None] = field(default_factory=dict)
    switches: EvaluationConfig = field(default_factory=EvaluationConfig)
    class_map: dict[str, str] | None = None
    occlusion: float = 0.75

    def whole(self, folder: Path) -> tuple[bytes, bytes, str]:
        """metrics.json, details.json, and what is printed, but for where it was written."""
        out, details = folder / "metrics.json", folder / "details.json"
        done = evaluate_files(
            self.truth,
            self.predictions,
            self.tracks,
            self.switches,
            out,
            self.occlusion,
            details=details,
            class_map=self.class_map,
        )
        return out.read_bytes(), details.read_bytes(), str(done).replace(str(out), "")

    def shard(self, number: int, count: int, folder: Path, processes: int = 1) -> Path:
        out = folder / f"{number}.npz"
        evaluate_shard(
            self.truth,
            self.predictions,
            self.tracks,
            self.switches,
            out,
            Shard(number, count),
            self.occlusion,
            processes,
            self.class_map,
        )
        return out

    def shards(self, count: int, folder: Path) -> list[Path]:
        return [self.shard(number, count, folder) for number in range(1, count + 1)]


def merged(shards: list[Path], folder: Path) -> tuple[bytes, bytes, str]:
    out, details = folder / "merged" / "metrics.json", folder / "merged" / "details.json"
    done = merge_evaluations(shards, out, details)
    return out.read_bytes(), details.read_bytes(), str(done).replace(str(out), "")


def ten_videos() -> tuple[Json, list[Json]]:
    """The last of ten videos has no frame, three have no prediction."""
    joint, predictions = many_videos(3)
    joint["videos"].append(joint["videos"][0] | {"id": 50, "name": "nothing in it"})
    of_image = {image["id"]: image["video_id"] for image in joint["images"]}
    return joint, [one for one in predictions if of_image[one["image_id"]] not in (1, 2, 8)]


def write(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    truth, found = folder / "joint.json.gz", folder / "predictions.jsonl.gz"
    truth.write_bytes(gzip.compress(json.dumps(joint).encode()))
    lines = "".join(json.dumps(one) + "\n" for one in predictions)
    found.write_bytes(gzip.compress(lines.encode()))
    return Inputs(truth, found)


def given_tracks(folder: Path, joint: Json) -> dict[MaskType, Path | None]:
    paths: dict[MaskType, Path | None] = {}
    for mask_type in MASK_TYPES:
        path = folder / f"video_{mask_type}.json"
        path.write_text(json.dumps(video_ground_truth(joint, mask_type, 0.3)))
        paths[mask_type] = path
    return paths


def _plain(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    return write(folder, joint, predictions)


def _published(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    switches = EvaluationConfig(extended=False, max_tracks=3, detection_area="mask")
    return replace(write(folder, joint, predictions), switches=switches, occlusion=0.5)


def _tracks(folder: Path, joint: Json, predictions: list[Json]) -> Inputs:
    return replace(write(folder, joint, predictions), tracks=given_tracks(folder, joint))


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


Whole = Callable[[Variant], tuple[Inputs, tuple[bytes, bytes, str]]]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The files of a variant and what one evaluation makes of them, once for all tests."""

    @cache
    def evaluate(variant: Variant) -> tuple[Inputs, tuple[bytes, bytes, str]]:
        folder = tmp_path_factory.mktemp("variant")
        inputs = variant(folder, *ten_videos())
        return inputs, inputs.whole(folder)

    return evaluate


# Fewer shards than videos, and so many that some have no video; every number with one variant.
COUNTS: list[tuple[Variant, int]] = [(_plain, count) for count in (1, 2, 3, 7, 25)]
COUNTS += [(variant, count) for variant in VARIANTS[1:] for count in (3, 25)]


@pytest.mark.parametrize(
    ("variant", "count"), COUNTS, ids=[f"{variant.__name__[1:]}-{n}" for variant, n in COUNTS]
)
def test_merged_they_are_the_bytes_of_one_evaluation(
    evaluated: Whole, tmp_path: Path, variant: Variant, count: int
) -> None:
    inputs, whole = evaluated(variant)
    shards = inputs.shards(count, tmp_path)
    assert merged(shards[::-1], tmp_path) == whole  # in any order
    alone = tmp_path / "alone.json"
    merge_evaluations(shards, alone)
    assert alone.read_bytes() == whole[0]


def test_the_variants_are_different(evaluated: Whole) -> None:
    documents = set()
    for variant in VARIANTS:
        _, (metrics, details, _) = evaluated(variant)
        documents.add(metrics + details)
        assert json.loads(details)["per_video"]["nothing in it"]["image/visible"]["AP"] is None
    assert len(documents) == len(VARIANTS)


@pytest.mark.slow
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
    copies = Inputs(plain / inputs.truth.stem, plain / inputs.predictions.stem)
    copies.truth.write_bytes(gzip.decompress(inputs.truth.read_bytes()))
    copies.predictions.write_bytes(gzip.decompress(inputs.predictions.read_bytes()))
    shards = [inputs.shard(1, 2, tmp_path), copies.shard(2, 2, plain)]
    assert merged(shards, tmp_path) == inputs.whole(tmp_path)


def test_what_shares_arrays_keeps_them_once(tmp_path: Path) -> None:
    shard = write(tmp_path, *ten_videos()).shard(1, 1, tmp_path)
    results = shard_file.read_results(shard)
    assert len(results) == 10
    first = next(result for result in results if result.detections)
    for mask_type in MASK_TYPES:
        masks, boxes = (first.matches[f"image/{name}"] for name in (mask_type, f"{mask_type}_box"))
        assert np.shares_memory(masks.score, boxes.score)
    with np.load(shard, allow_pickle=False) as arrays:
        assert "matches/image/amodal/score" in arrays
        assert "matches/image/amodal_box/score" not in arrays


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


def refusal(work: Callable[..., Any], *arguments: Any) -> str | None:
    """What is said, where something is refused."""
    try:
        work(*arguments)
    except InputError as error:
        return str(error)
    return None


def message(work: Callable[..., Any], *arguments: Any) -> str:
    said = refusal(work, *arguments)
    assert said is not None
    return said


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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Inputs, list[Path]]:
    """Files and their two shards, which nothing changes."""
    folder = tmp_path_factory.mktemp("sound")
    inputs = write(folder, *ten_videos())
    return inputs, inputs.shards(2, folder)


@pytest.fixture
def two(sound: tuple[Inputs, list[Path]], tmp_path: Path) -> tuple[Inputs, list[Path]]:
    """Copies of these files, to be spoiled."""
    inputs, shards = sound
    truth, found, *copies = (
        Path(shutil.copy(path, tmp_path)) for path in (inputs.truth, inputs.predictions, *shards)
    )
    return Inputs(truth, found), copies


def test_a_shard_that_is_missing_is_named(two: tuple[Inputs, list[Path]], tmp_path: Path) -> None:
    _, (first, second) = two
    out = tmp_path / "run" / "metrics.json"
    told = message(merge_evaluations, [first], out)
    assert told == f"{out}: shard 2/2 is missing; evaluate it (`--shard`) and give all shards"
    told = message(merge_evaluations, [first, second, first], out)
    assert told == f"{out}: shard 1/2 is given twice; give each shard once"
    second.unlink()
    told = message(merge_evaluations, [first, second], out)
    assert told == f"{second}: no such file; evaluate the shard again"
    assert not out.exists()


def _other_truth(inputs: Inputs) -> Inputs:
    joint = json.loads(gzip.decompress(inputs.truth.read_bytes()))
    joint["annotations"].pop()
    inputs.truth.write_bytes(gzip.compress(json.dumps(joint).encode()))
    return inputs


def _other_predictions(inputs: Inputs) -> Inputs:
    lines = gzip.decompress(inputs.predictions.read_bytes()).splitlines(keepends=True)
    inputs.predictions.write_bytes(gzip.compress(b"".join(lines[:-1])))
    return inputs


def _with_tracks(inputs: Inputs) -> Inputs:
    joint = json.loads(gzip.decompress(inputs.truth.read_bytes()))
    return replace(inputs, tracks=given_tracks(inputs.truth.parent, joint))


OTHER: list[tuple[Callable[[Inputs], Inputs], str]] = [
    (_other_truth, "of another ground truth"),
    (_other_predictions, "of other predictions"),
    (_with_tracks, "of another per-video ground truth"),
    (lambda inputs: replace(inputs, switches=EvaluationConfig(max_tracks=7)), "other settings"),
    (lambda inputs: replace(inputs, occlusion=0.5), "with other settings"),
    (lambda inputs: replace(inputs, class_map={"1": ""}), "with other classes of the predictions"),
]


@pytest.mark.parametrize(("change", "told"), OTHER)
def test_what_does_not_belong_together(
    two: tuple[Inputs, list[Path]],
    tmp_path: Path,
    change: Callable[[Inputs], Inputs],
    told: str,
) -> None:
    inputs, (first, second) = two
    changed = change(inputs)
    changed.shard(2, 2, tmp_path)
    out = tmp_path / "run" / "metrics.json"
    shown = message(merge_evaluations, [second, first], out)
    assert re.fullmatch(rf"{second}: .*{told} than {first}; evaluate it again", shown)
    assert not out.exists()
    changed.shard(1, 2, tmp_path)
    merge_evaluations([first, second], out)


def test_another_number_of_shards(two: tuple[Inputs, list[Path]], tmp_path: Path) -> None:
    inputs, (first, second) = two
    inputs.shard(2, 3, tmp_path)
    shown = message(merge_evaluations, [first, second], tmp_path / "metrics.json")
    assert shown == f"{second}: another number of shards than {first}; evaluate it again"


def test_another_version_of_the_form(
    two: tuple[Inputs, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, (first, second) = two
    monkeypatch.setattr(shard_file, "VERSION", shard_file.VERSION + 1)
    inputs.shard(1, 2, tmp_path)
    shown = message(merge_evaluations, [first, second], tmp_path / "metrics.json")
    assert shown.startswith(f"{second}: written by another version of vatrack (format 1, ")
    assert shown.endswith("; evaluate the shard again")


def _save(path: Path, **arrays: Any) -> None:
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def _one_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))


OTHER_FORM = np.frombuffer(b'{"form": "something else"}', np.uint8)
NO_SHARDS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "metrics": lambda path: path.write_text('{"image/amodal/AP": 3.0}'),
    "one array": _one_array,
    "other arrays": lambda path: _save(path, a=np.zeros(3)),
    "another form": lambda path: _save(path, record=OTHER_FORM),
    "pickle": lambda path: _save(path, record=np.array([{}], object)),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
}


@pytest.mark.parametrize("kind", NO_SHARDS)
def test_what_is_no_shard(two: tuple[Inputs, list[Path]], tmp_path: Path, kind: str) -> None:
    _, (first, second) = two
    NO_SHARDS[kind](second)
    out = tmp_path / "metrics.json"
    shown = message(merge_evaluations, [first, second], out)
    assert shown.startswith(f"{second}: damaged, or not an evaluation shard (")
    assert shown.endswith("; evaluate the shard again")
    assert not out.exists()


def test_no_damage_changes_a_number(tmp_path: Path) -> None:
    joint, predictions = ten_videos()
    of_image = {image["id"]: image["video_id"] for image in joint["images"]}
    joint["videos"] = [video for video in joint["videos"] if video["id"] in (3, 4)]
    for name in ("images", "annotations"):
        joint[name] = [entry for entry in joint[name] if entry["video_id"] in (3, 4)]
    found = [one for one in predictions if of_image[one["image_id"]] in (3, 4)]
    shards = write(tmp_path, joint, found[:20]).shards(2, tmp_path)
    whole = merged(shards, tmp_path)
    path = min(shards, key=lambda shard: shard.stat().st_size)
    sound = path.read_bytes()
    refused, results = 0, []
    for place in range(0, len(sound), len(sound) // 150):
        path.write_bytes(
            sound[:place] + bytes([sound[place] ^ (1 << place % 8)]) + sound[place + 1 :]
        )
        said = refusal(lambda: results.append(merged(shards, tmp_path)))
        if said is None:
            assert results.pop() == whole, place
        else:
            assert said.startswith(f"{path}: "), place
            refused += 1
    assert refused > 75


def test_nothing_that_is_read_is_written_over(
    two: tuple[Inputs, list[Path]], tmp_path: Path
) -> None:
    inputs, shards = two
    before = [path.read_bytes() for path in (*shards, inputs.truth, inputs.predictions)]
    for out, details in ((shards[0], None), (tmp_path / "m.json", shards[1])):
        assert "would overwrite the input" in message(merge_evaluations, shards, out, details)
    for source in (inputs.truth, inputs.predictions):
        given: Any = inputs.truth, inputs.predictions, {}, inputs.switches, source, Shard(1, 2)
        assert "would overwrite the input" in message(evaluate_shard, *given)
    assert [p.read_bytes() for p in (*shards, inputs.truth, inputs.predictions)] == before


def test_names_that_are_there_twice_are_told_early(tmp_path: Path) -> None:
    joint, predictions = ten_videos()
    joint["videos"][1]["name"] = joint["videos"][0]["name"]
    inputs = write(tmp_path, joint, predictions)
    with pytest.warns(UserWarning, match=r"both named.*; merging with --details will fail"):
        shards = inputs.shards(2, tmp_path)
    assert "are both named" in message(merged, shards, tmp_path)
    merge_evaluations(shards, tmp_path / "metrics.json")


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


def test_the_commands(command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    inputs = write(tmp_path, *ten_videos())
    folder = tmp_path / "run"
    folder.mkdir()
    options = ["--ground-truth", inputs.truth, "--predictions", inputs.predictions]
    options += ["--set", "evaluation.max_tracks=4"]
    code, whole, _ = command("evaluate", *options, "--out", tmp_path / "metrics.json")
    assert code == 0
    shards = [tmp_path / "shards" / f"{number}.npz" for number in (1, 2)]
    for number, shard in enumerate(shards, 1):
        code, shown, _ = command("evaluate", *options, "--shard", f"{number}/2", "--out", shard)
        assert code == 0
        assert re.match(rf"wrote {shard}: shard {number}/2, \d+ detections in \d of 10 vid", shown)
    out = folder / "metrics.json"
    code, shown, _ = command(
        "merge-evaluations", *shards, "--out", out, "--details", folder / "d.json", "--run", folder
    )
    assert (code, shown.replace(str(out), "")) == (
        0,
        whole.replace(str(tmp_path / "metrics.json"), ""),
    )
    assert out.read_bytes() == (tmp_path / "metrics.json").read_bytes()
    assert yaml.safe_load((folder / "evaluation.yaml").read_text())["max_tracks"] == 4
    code, _, errors = command("evaluate", *options, "--shard", "3/2", "--out", shards[0])
    assert (code, "give NUMBER/COUNT" in errors) == (2, True)
    code, _, errors = command(
        "evaluate", *options, "--shard", "1/2", "--out", shards[0], "--details", tmp_path / "d"
    )
    assert (code, "shards have no details; give --details to `vatrack merge-ev" in errors) == (
        2,
        True,
    )
    code, _, errors = command("merge-evaluations", shards[0], "--out", out)
    assert (code, errors) == (
        2,
        f"vatrack: error: {out}: shard 2/2 is missing; evaluate it (`--shard`) and give all "
        "shards\n",
    )
