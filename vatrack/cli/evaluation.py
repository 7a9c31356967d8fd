"""Subcommands from a checkpoint to metrics."""

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
    Out,
    Overrides,
    Predictions,
    Processes,
    in_run,
)
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.common.mask_types import MaskType
from vatrack.config import Backbone, Method, RunConfig, load_config, load_run, load_run_config
from vatrack.config.classes import parse_class_map
from vatrack.runs.folder import RunFolder

# Options with long names, in the help in a table of their own.
TRUE_TRACKS = "Ground truth of the video metrics"


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
    out: Out,
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
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER/COUNT",
            help="Predict only this share of the clips, for example 1/4; combine with `vatrack "
            "merge-predictions`.",
        ),
    ] = None,
) -> None:
    """Detect, segment and track every object in the clips of a dataset."""
    from vatrack.inference.predict import predict_files
    from vatrack.inference.shards import parse_shard

    run = _run_of(checkpoint, config, overrides, method, backbone)
    mapping = parse_class_map(class_map) if class_map else None
    only = None if shard is None else parse_shard(shard)
    typer.echo(predict_files(run, checkpoint, frames, images, out, processes, mapping, only))


def merge_predictions(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD...", help="Predictions of `vatrack predict --shard`."),
    ],
    out: Out,
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


def evaluate(
    ground_truth: Annotated[
        Path, typer.Option(help="Ground truth in the joint form (.json or .json.gz).")
    ],
    predictions: Predictions,
    out: Out,
    video_ground_truth_amodal: Annotated[
        Path | None,
        typer.Option(
            help="Amodal tracks from `vatrack convert` (default: derived from --ground-truth).",
            rich_help_panel=TRUE_TRACKS,
        ),
    ] = None,
    video_ground_truth_visible: Annotated[
        Path | None,
        typer.Option(
            help="Visible tracks from `vatrack convert` (default: derived).",
            rich_help_panel=TRUE_TRACKS,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Config for the evaluation settings and the occlusion limit: YAML file or run "
            "folder (default: that of --run, else built-in values).",
            callback=in_run("config"),
        ),
    ] = None,
    overrides: Overrides = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run folder; stores the evaluation settings there and uploads the metrics to its "
            "MLflow run."
        ),
    ] = None,
    legacy: Annotated[
        bool,
        typer.Option(
            "--legacy", help="Never match ground truth with id 0, as the published code (quirk E1)."
        ),
    ] = False,
    details: Annotated[
        Path | None,
        typer.Option(help="JSON file for the metrics of every class and video."),
    ] = None,
    processes: Processes = 1,
    class_map: ClassMap = None,
) -> None:
    """Compute image, video and tracking metrics."""
    from vatrack.evaluation.evaluate import evaluate_files

    if run and not run.is_dir():
        raise InputError(
            f"--run {run}: no such folder; give the folder of the run that made the predictions"
        )
    kept = RunFolder(run).config if run and RunFolder(run).config.is_file() else None
    chosen = load_config(config or kept, overrides)
    switches = chosen.evaluation
    if legacy:
        switches = switches.model_copy(update={"legacy_gt_id0": True})
    video: dict[MaskType, Path | None] = {
        "amodal": video_ground_truth_amodal,
        "visible": video_ground_truth_visible,
    }
    # Predictions of nothing do not tell what masks the method has.
    if kept:
        masks = load_run_config(kept).method.masks
        video = {mask: path for mask, path in video.items() if mask in masks}
    limit = chosen.dataset.video_limit
    mapping = parse_class_map(class_map) if class_map else None
    typer.echo(
        evaluate_files(
            ground_truth, predictions, video, switches, out, limit, processes, details, mapping
        )
    )
    if run:
        from vatrack.experiments.log import log_evaluation

        write_yaml(RunFolder(run).evaluation, switches.model_dump(mode="json"))
        log_evaluation(run, out)


def examples(
    out: Out,
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            help="Ground truth in the joint form (.json or .json.gz); default: a small rendered "
            "example."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the errors.")] = 0,
) -> None:
    """Write perfect and faulty example predictions, for testing the evaluation."""
    from vatrack.evaluation.examples import write_examples

    typer.echo(write_examples(ground_truth, out, seed))
