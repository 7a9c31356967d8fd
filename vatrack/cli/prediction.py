"""Subcommands of prediction, at once or in shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import (
    CheckpointBackbone,
    CheckpointConfig,
    CheckpointFile,
    CheckpointMethod,
    ClassMap,
    Images,
    Overrides,
    out_file,
    shard_option,
)
from vatrack.common.files import require_lines
from vatrack.common.shards import parse_shard
from vatrack.config import Backbone, Method, RunConfig, load_run
from vatrack.config.file_classes import parse_class_map


def predict(
    checkpoint: CheckpointFile,
    frames: Annotated[
        Path,
        typer.Option(
            "--frames",
            "--ground-truth",
            help="JSON that lists the frames of the clips (joint form; masks are not read).",
        ),
    ],
    images: Images,
    out: Annotated[Path, out_file("Predictions to write (.jsonl or .jsonl.gz).")],
    config: CheckpointConfig = None,
    overrides: Overrides = None,
    method: CheckpointMethod = None,
    backbone: CheckpointBackbone = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of single-threaded processes that share the clips; 0: one per core. "
            "Default: one process with all threads.",
        ),
    ] = None,
    class_map: ClassMap = None,
    shard: Annotated[str | None, shard_option("merge-predictions")] = None,
) -> None:
    """Detect, segment and track every object in the clips of a dataset."""
    from vatrack.data.store import require_annotations
    from vatrack.weights.recognise import require_file

    # What is wrong is told before torch is imported, which takes seconds.
    require_lines(out)
    mapping = parse_class_map(class_map) if class_map else None
    only = None if shard is None else parse_shard(shard)
    require_file(checkpoint, "checkpoint")
    require_annotations(frames)
    from vatrack.inference.predict import predict_files

    run = _run_of(checkpoint, config, overrides, method, backbone)
    typer.echo(predict_files(run, checkpoint, frames, images, out, processes, mapping, only))


def merge_predictions(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD...", help="Predictions of `vatrack predict --shard`."),
    ],
    out: Annotated[Path, out_file("Predictions to write (.jsonl or .jsonl.gz).")],
) -> None:
    """Merge the predictions of all shards; the result is the same as without shards."""
    from vatrack.inference.shards import merge_shards

    typer.echo(merge_shards(shards, out))


def _run_of(
    checkpoint: Path,
    config: Path | None,
    overrides: list[str] | None,
    method: Method | None,
    backbone: Backbone | None,
) -> RunConfig:
    """The settings that a checkpoint predicts with: its own, or those of a config."""
    from vatrack.weights.checkpoint import load

    loaded = load(checkpoint)
    loaded.check_names(checkpoint, method, backbone)
    if config is None:
        return loaded.settings(checkpoint, overrides)
    return load_run(config, loaded.method, loaded.backbone, overrides, any_seed=True)
