"""Evaluations in shards, and what they say when something is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.evaluation.files import many_videos
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MASK_TYPES, MaskType
from vatrack.common.shards import Shard
from vatrack.data.video_ground_truth import video_ground_truth
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import EvaluationInputs
from vatrack.evaluation.shards import evaluate_shard, merge_evaluations

Json = dict[str, Any]


class Inputs(EvaluationInputs):
    """Files and settings of an evaluation, at once or in shards."""

    def whole(self, folder: Path) -> tuple[bytes, bytes, str]:
        """metrics.json, details.json, and what is printed, but for where it was written."""
        out, details = folder / "metrics.json", folder / "details.json"
        done = evaluate_inputs(self, out, details=details)
        return out.read_bytes(), details.read_bytes(), str(done).replace(str(out), "")

    def shard(self, number: int, count: int, folder: Path, processes: int = 1) -> Path:
        out = folder / f"{number}.npz"
        evaluate_shard(self, out, Shard(number, count), processes)
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


def given_tracks(folder: Path, joint: Json) -> dict[MaskType, Path | None]:
    """Files with the tracks of both mask types."""
    paths: dict[MaskType, Path | None] = {}
    for mask_type in MASK_TYPES:
        path = folder / f"video_{mask_type}.json"
        path.write_text(json.dumps(video_ground_truth(joint, mask_type, 0.3)))
        paths[mask_type] = path
    return paths
