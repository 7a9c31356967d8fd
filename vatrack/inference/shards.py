"""Shards of a prediction: neighbouring clips of a set, predicted by a job of their own.

Beside the predictions of a shard lies a record of it, written last. Merged in order, the shards
are the same bytes as the prediction of the whole set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import InputError
from vatrack.common.files import (
    atomic_path,
    create_text,
    refuse_same_file,
    require_lines,
    write_json,
    write_yaml,
)
from vatrack.common.run_files import SETTINGS_FILE
from vatrack.common.shards import Shard, complete, is_numbered
from vatrack.common.text_files import no_such, open_text
from vatrack.common.value_files import read_json
from vatrack.data.frames import Frame

# What must be the same in all shards.
DIFFERS = {
    "set": "of other clips",
    "checkpoint": "of another checkpoint",
    "classes": "with other classes (--class-map)",
    "settings": "with other settings",
}


def record_path(predictions: Path) -> Path:
    """Where the record of a shard lies."""
    return predictions.with_name(f"{predictions.name}.shard.json")


def write_record(
    predictions: Path,
    shard: Shard,
    clips: Sequence[Sequence[Frame]],
    everything: Sequence[Sequence[Frame]],
    category_ids: Sequence[int | None],
    count: int,
    settings: dict[str, Any],
) -> None:
    """Says that a shard is complete, and what it is of.

    Args:
        clips: the frames of its own; `everything`: of the whole set.
        category_ids: of each label, in the predictions; None: left out.
        count: of its predictions.
        settings: see `write_settings`.
    """
    digest = settings["checkpoint"]["sha256"]
    whole = hashlib.sha256(repr([list(map(astuple, clip)) for clip in everything]).encode())
    content = {"shard": shard.number, "of": shard.count, "checkpoint": digest}
    content |= {"set": whole.hexdigest(), "classes": list(category_ids)}
    content |= {"clips": [clip[0].video_id for clip in clips], "predictions": count}
    content |= {"settings": settings}
    write_json(record_path(predictions), content, indent=1)


def write_settings(predictions: Path, settings: dict[str, Any], digest: str = "") -> None:
    """Leaves inference.yaml beside predictions, with the name of the file that it describes and the
    SHA-256 of its (unpacked) content, unless that is still being written."""
    described = {"predictions": predictions.name} | ({"sha256": digest} if digest else {})
    write_yaml(predictions.with_name(SETTINGS_FILE), described | settings)


@dataclass(frozen=True)
class Merged:
    """What `merge_shards` wrote."""

    out: Path
    predictions: int
    clips: int
    shards: int

    def __str__(self) -> str:
        return (
            f"{self.out}: {counted(self.predictions, 'prediction')} for "
            f"{counted(self.clips, 'clip')} from {counted(self.shards, 'shard')}"
        )


def merge_shards(shards: Sequence[Path], out: Path) -> Merged:
    """Writes the predictions of a whole set from those of its shards, and inference.yaml beside.

    Args:
        shards: the files that `predict_files` wrote for a shard, in any order.

    Raises:
        InputError: a shard is missing, incomplete or there twice, or they are of different
            checkpoints, settings or sets.
    """
    require_lines(out)
    refuse_same_file(out, *shards)
    known = complete([(path, _read_record(path)) for path in shards], DIFFERS, out, "predict")
    count, digest = 0, hashlib.sha256()
    with atomic_path(out) as temporary, create_text(temporary) as stream:
        for path, other in known:
            count += _copy(path, other["predictions"], stream, digest)
    write_settings(out, known[0][1]["settings"], digest.hexdigest())
    return Merged(out, count, sum(len(other["clips"]) for _, other in known), len(known))


def _read_record(predictions: Path) -> dict[str, Any]:
    path = record_path(predictions)
    if not predictions.is_file() or not path.is_file():
        missing = path if predictions.is_file() else predictions
        raise InputError(
            f"{missing}: {no_such(missing, 'file')}, so the shard is incomplete; predict it again"
        )
    record = read_json(path)
    types = {"predictions": int, "clips": list, "settings": dict}
    if (
        not isinstance(record, dict)
        or any(type(record.get(name)) is not wanted for name, wanted in types.items())
        or not {"set", "checkpoint", "classes"} <= record.keys()
        or not is_numbered(record)
    ):
        raise InputError(f"{path}: not the record of a shard; predict the shard again")
    return record


def _copy(path: Path, expected: int, stream: Any, digest: Any) -> int:
    """Copies the lines of a shard, also to a digest; their number must be what its record says."""
    count = 0
    for line in _lines(path):
        stream.write(line)
        digest.update(line.encode())
        count += 1
    if count != expected:
        raise InputError(
            f"{path}: {counted(count, 'prediction')}, but {expected} in its record; predict the "
            "shard again"
        )
    return count


def _lines(path: Path) -> Iterator[str]:
    with open_text(path) as stream:
        yield from stream
