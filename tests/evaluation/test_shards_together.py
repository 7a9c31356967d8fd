"""Shards that are missing or do not belong together are refused."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.shards import (
    Inputs,
    given_tracks,
    message,
    ten_videos,
    write,
)
from vatrack.common.shards import Shard
from vatrack.config import EvaluationConfig
from vatrack.evaluation.shards import evaluate_shard, merge_evaluations


def test_a_shard_that_is_missing_is_named(two: tuple[Inputs, list[Path]], tmp_path: Path) -> None:
    _, (first, second) = two
    out = tmp_path / "run" / "metrics.json"
    told = message(merge_evaluations, [first], out)
    fix = "2/2 is missing; evaluate it (`vatrack evaluate --shard 2/2`) and give all shards"
    assert told == f"{first}: is shard 1/2, but {fix}"
    for given in ([first, second, first], [first, first]):
        told = message(merge_evaluations, given, out)
        assert told == f"{first}: shard 1/2 is given twice; give each shard once"
    copy = tmp_path / "copy.npz"
    copy.write_bytes(first.read_bytes())
    told = message(merge_evaluations, [first, second, copy], out)
    assert told == f"{copy}: shard 1/2 is given twice, also as {first}; give each shard once"
    second.unlink()
    told = message(merge_evaluations, [first, second], out)
    assert told == f"{second}: no such file; evaluate the shard again"
    assert not out.exists()


def _other_truth(inputs: Inputs) -> Inputs:
    joint = json.loads(gzip.decompress(inputs.ground_truth.read_bytes()))
    joint["annotations"].pop()
    inputs.ground_truth.write_bytes(gzip.compress(json.dumps(joint).encode()))
    return inputs


def _other_predictions(inputs: Inputs) -> Inputs:
    lines = gzip.decompress(inputs.predictions.read_bytes()).splitlines(keepends=True)
    inputs.predictions.write_bytes(gzip.compress(b"".join(lines[:-1])))
    return inputs


def _with_tracks(inputs: Inputs) -> Inputs:
    joint = json.loads(gzip.decompress(inputs.ground_truth.read_bytes()))
    return replace(inputs, video=given_tracks(inputs.ground_truth.parent, joint))


OTHER: list[tuple[Callable[[Inputs], Inputs], str]] = [
    (_other_truth, "of another ground truth"),
    (_other_predictions, "of other predictions"),
    (_with_tracks, "of another per-video ground truth"),
    (lambda inputs: replace(inputs, switches=EvaluationConfig(max_tracks=7)), "other settings"),
    (lambda inputs: replace(inputs, video_max_occlusion=0.5), "with other settings"),
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


def test_nothing_that_is_read_is_written_over(
    two: tuple[Inputs, list[Path]], tmp_path: Path
) -> None:
    inputs, shards = two
    before = [path.read_bytes() for path in (*shards, inputs.ground_truth, inputs.predictions)]
    for out, details in ((shards[0], None), (tmp_path / "m.json", shards[1])):
        assert "would overwrite the input" in message(merge_evaluations, shards, out, details)
    for source in (inputs.ground_truth, inputs.predictions):
        assert "would overwrite" in message(evaluate_shard, inputs, source, Shard(1, 2))
    assert [p.read_bytes() for p in (*shards, inputs.ground_truth, inputs.predictions)] == before


@pytest.mark.parametrize("where", ["videos", "categories"])
def test_names_that_are_there_twice_are_refused_as_by_a_whole_evaluation(
    tmp_path: Path, where: str
) -> None:
    joint, predictions = ten_videos()
    joint[where][1]["name"] = joint[where][0]["name"]
    inputs = write(tmp_path, joint, predictions)
    out = tmp_path / "1.npz"
    refused = message(evaluate_shard, inputs, out, Shard(1, 2))
    assert refused == message(inputs.whole, tmp_path)
    assert f"of '{where}' are both named" in refused
    assert not out.exists()
