"""The file of a shard: what it keeps, and what is no such file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.shards import Inputs, merged, message, refusal, ten_videos, write
from vatrack.common.mask_types import MASK_TYPES
from vatrack.evaluation.io import shard_file
from vatrack.evaluation.shards import merge_evaluations


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


def test_another_version_of_the_form(
    two: tuple[Inputs, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, (first, second) = two
    own = shard_file.VERSION
    monkeypatch.setattr(shard_file, "VERSION", own + 1)
    inputs.shard(1, 2, tmp_path)
    shown = message(merge_evaluations, [first, second], tmp_path / "metrics.json")
    assert shown.startswith(f"{second}: written by another version of vatrack (format {own}, ")
    assert shown.endswith("; evaluate the shard again")


def _save(path: Path, **arrays: Any) -> None:
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def _one_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))


SHARDS = "not an evaluation shard (.npz); give the files from `vatrack evaluate --shard`"
OTHER_FORM = np.frombuffer(b'{"form": "something else"}', np.uint8)
NO_SHARDS: dict[str, Callable[[Path], object]] = {
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


def test_another_numpy_archive_is_named(two: tuple[Inputs, list[Path]], tmp_path: Path) -> None:
    _, (first, second) = two
    _save(second, a=np.zeros(3))
    out = tmp_path / "metrics.json"
    assert message(merge_evaluations, [first, second], out) == (
        f"{second}: is a NumPy archive (.npz), {SHARDS}"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: path.write_bytes(b""), "is empty; evaluate the shard again"),
        (
            lambda path: path.write_text('{"image/amodal/AP": 3.0}'),
            f"is a file of metrics, {SHARDS}",
        ),
        (_one_array, f"is a NumPy array (.npy), {SHARDS}"),
    ],
    ids=["empty", "metrics", "one array"],
)
def test_another_file_is_called_by_its_name(
    two: tuple[Inputs, list[Path]], tmp_path: Path, write: Callable[[Path], object], told: str
) -> None:
    _, (first, second) = two
    write(second)
    shown = message(merge_evaluations, [first, second], tmp_path / "metrics.json")
    assert shown == f"{second}: {told}"


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
