"""Ground truth and predictions as files, and the words of `vatrack evaluate` that name them."""

import gzip
import json
from pathlib import Path
from typing import Any

from tests.evaluation.scenes import random_scene

Json = dict[str, Any]


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


def write_inputs(folder: Path, joint: Json, predictions: list[Json]) -> tuple[Path, Path]:
    truth, found = folder / "joint.json.gz", folder / "predictions.jsonl"
    truth.write_bytes(gzip.compress(json.dumps(joint).encode()))
    found.write_text("".join(json.dumps(record) + "\n" for record in predictions))
    return truth, found
