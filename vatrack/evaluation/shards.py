"""Shards of an evaluation: neighbouring videos of a set, evaluated by a job of their own.

A shard is one file with what its videos contribute. All shards merged give the bytes of the
evaluation of the whole set, because what is ranked over all videos, and summed up in their order,
is what an unsharded evaluation has, too.

Every shard reads the whole files once, to know which video each item belongs to, and evaluates its
own videos alone. A shard that finds something wrong writes nothing: it looks through the
predictions of the other videos, too, and names the first wrong one of the whole file. So of several
shards that fail each gives the message of an unsharded evaluation. (Of several videos with a wrong
ground truth, each shard names the first of its own.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.files import sha256_of
from vatrack.common.shards import Shard, complete
from vatrack.config import EvaluationConfig, parse_config
from vatrack.data.known_forms import SHARD, wants
from vatrack.evaluation.evaluate import Names, write_metrics
from vatrack.evaluation.file_set import (
    EvaluationInputs,
    FileSet,
    check_targets,
    noted_settings,
    open_files,
)
from vatrack.evaluation.io.shard_file import read_record, read_results, write_shard
from vatrack.evaluation.one_video import Protocol
from vatrack.evaluation.summary import Evaluated
from vatrack.version import __version__

# What must be the same in all shards. Everything else follows from it.
DIFFERS = {
    "vatrack": "by another version of vatrack",
    "ground_truth": "of another ground truth",
    "predictions": "of other predictions",
    "tracks": "of another per-video ground truth",
    "settings": "with other settings",
    "category_ids": "with other classes of the predictions",
}


@dataclass(frozen=True)
class EvaluatedShard:
    """What `evaluate_shard` wrote."""

    out: Path
    shard: Shard
    videos: int
    all_videos: int
    detections: int

    def __str__(self) -> str:
        return (
            f"wrote {self.out}: shard {self.shard}, {counted(self.detections, 'detection')} in "
            f"{self.videos} of {counted(self.all_videos, 'video')}; `vatrack merge-evaluations` "
            "computes the metrics of all shards"
        )


def evaluate_shard(
    inputs: EvaluationInputs, out: Path, shard: Shard, processes: int = 1
) -> EvaluatedShard:
    """Evaluates some of the videos and writes what `merge_evaluations` needs of them.

    Args:
        out: the file of the shard (see `io.shard_file`).
        shard: which of the videos; all shards have about the same number of images.
        inputs, processes: as in `evaluate.evaluate_inputs`.

    Raises:
        InputError: as `evaluate.evaluate_inputs` with details. The first wrong prediction is that
            of the whole file, even if it belongs to another shard.
    """
    with open_files(inputs, out, shard=True) as split:
        # A shard holds the details, too, in which names stand for ids.
        Names.of(split.head.category_names, split.head.video_names, split.protocol.truth)
        record = _record(split, shard)
        own = split.slice_of(shard)
        results = split.measure(processes, own)
        split.files.check()  # the checksums in the record are those of what was evaluated
    record["videos"] = list(split.head.heads)[own]
    write_shard(out, record, results)
    detections = sum(result.detections for result in results)
    return EvaluatedShard(out, shard, len(results), len(split.videos), detections)


@wants(shards=SHARD)
def merge_evaluations(shards: Sequence[Path], out: Path, details: Path | None = None) -> Evaluated:
    """Writes the metrics of a whole set from the shards of its evaluation.

    Args:
        shards: the files that `evaluate_shard` wrote, in any order.
        out, details: as for `evaluate.evaluate_inputs`, which would write the same bytes.

    Raises:
        InputError: a shard is missing, damaged or there twice, or they are of different files,
            settings or versions of the form.
    """
    check_targets(shards, out, details)
    known = complete([(path, read_record(path)) for path in shards], DIFFERS, out, "evaluate")
    record = known[0][1]
    names, videos = None, dict(record["video_names"])
    if details is not None:
        names = Names.of(dict(record["category_names"]), videos, record["truth"])
    results = list(chain.from_iterable(read_results(path) for path, _ in known))
    own = {video: videos.get(video, video) for _, other in known for video in other["videos"]}
    evaluated = write_metrics(results, own, _protocol(record, known[0][0]), names, out, details)
    return replace(evaluated, sure=record.get("sure", False))  # older versions do not say it


def settings_of(shard: Path) -> dict[str, Any]:
    """How a shard was evaluated (see `file_set.noted_settings`).

    Raises:
        InputError: see `read_record`.
    """
    record = read_record(shard)
    protocol = _protocol(record, shard)
    made_from = record.get("made_from", {})
    return noted_settings(protocol, record["ground_truth"], record["tracks"], made_from)


def _record(split: FileSet, shard: Shard) -> dict[str, Any]:
    """What a shard is of. Files are told by the checksums of their (unpacked) content."""
    head, files, protocol = split.head, split.files, split.protocol
    return {
        "shard": shard.number,
        "of": shard.count,
        "vatrack": __version__,
        "ground_truth": sha256_of(files.truth),
        "predictions": sha256_of(files.predictions),
        "tracks": {name: sha256_of(path) for name, path in files.tracks.items()},
        "settings": {
            "evaluation": protocol.switches.model_dump(mode="json"),
            "video_max_occlusion": protocol.video_max_occlusion,
        },
        "category_ids": protocol.category_ids and sorted(protocol.category_ids.items()),
        "mask_types": list(protocol.mask_types),
        "with_tracks": protocol.with_tracks,
        "truth": protocol.truth,
        "label": protocol.label,
        "category_names": list(head.category_names.items()),
        "video_names": list(head.video_names.items()),
        "sure": split.sure,
        "made_from": dict(split.made_from),
    }


def _protocol(record: Mapping[str, Any], path: Path) -> Protocol:
    """How the videos of the shard in `path` were evaluated, as far as it concerns their joining.

    Raises:
        InputError: this version of vatrack has other settings.
    """
    settings = record["settings"]
    return Protocol(
        record["mask_types"],
        parse_config(settings["evaluation"], f"{path}: its settings", EvaluationConfig),
        settings["video_max_occlusion"],
        record["truth"],
        record["label"],
        {},
        details=True,
        with_tracks=record["with_tracks"],
    )
