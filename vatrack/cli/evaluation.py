"""Subcommands of the evaluation: metrics of predictions, at once or in shards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from vatrack.cli.options import (
    ClassMap,
    Overrides,
    Processes,
    in_run,
    out_file,
    out_folder,
    predictions_option,
    shard_option,
)
from vatrack.cli.parsing import Unless
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.common.mask_types import MaskType
from vatrack.common.paths import same_file
from vatrack.common.shards import parse_shard
from vatrack.config import load_config
from vatrack.config.file_classes import parse_class_map
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import masks_of_run, require_run, run_data

# Options with long names, in the help in a table of their own.
TRUE_TRACKS = "Ground truth of the video metrics"
Details = Annotated[
    Path | None, typer.Option(help="JSON file for the metrics of every class and video.")
]
RunOfPredictions = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Run folder. If --out is its metrics.json, the evaluation settings are stored there "
        "too, and the metrics are uploaded to its MLflow run.",
    ),
]


def evaluate(
    out: Annotated[Path, out_file("Metrics to write (JSON); with --shard, their share (.npz).")],
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            help="Ground truth in the joint form, .json or .json.gz (default: the validation set "
            "in the results folder of --run)."
        ),
        Unless(("run",)),
    ] = None,
    predictions: Annotated[
        Path | None,
        predictions_option(" (default: those of --run)"),
        Unless(("run",)),
    ] = None,
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
            metavar="PATH",
            help="Config for the evaluation settings and the occlusion limit: YAML file or run "
            "folder (default: that of --run, else built-in values).",
            callback=in_run("config"),
        ),
    ] = None,
    overrides: Overrides = None,
    run: RunOfPredictions = None,
    legacy: Annotated[
        bool,
        typer.Option(
            "--legacy", help="Never match ground truth with id 0, as the published code (quirk E1)."
        ),
    ] = False,
    details: Details = None,
    processes: Processes = 1,
    class_map: ClassMap = None,
    shard: Annotated[str | None, shard_option("merge-evaluations")] = None,
) -> None:
    """Compute image, video and tracking metrics."""
    from vatrack.evaluation.evaluate import evaluate_inputs
    from vatrack.evaluation.file_set import EvaluationInputs
    from vatrack.evaluation.shards import evaluate_shard

    if run:
        require_run(run, None if config else "config", "--run ")
    truth, predicted = _inputs(run, ground_truth, predictions)
    only = None if shard is None else parse_shard(shard)
    if only and details:
        raise InputError(
            f"--details {details}: shards have no details; give --details to `vatrack "
            "merge-evaluations`"
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
    masks = masks_of_run(run) if run else None
    mapping = parse_class_map(class_map) if class_map else None
    limit = chosen.dataset.video_limit
    inputs = EvaluationInputs(truth, predicted, video, switches, limit, mapping, masks)
    if only:
        typer.echo(evaluate_shard(inputs, out, only, processes))
        return
    folder = _noted_in(out, run)
    evaluated = evaluate_inputs(inputs, out, processes, details, noted=folder is not None)
    typer.echo(evaluated)
    if folder:
        _keep(folder, run, evaluated.settings)


def merge_evaluations(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD...", help="Results of `vatrack evaluate --shard`."),
    ],
    out: Annotated[Path, out_file("Metrics to write (JSON).")],
    details: Details = None,
    run: RunOfPredictions = None,
) -> None:
    """Merge the evaluations of all shards; the result is the same as without shards."""
    from vatrack.evaluation.shards import merge_evaluations as merge
    from vatrack.evaluation.shards import settings_of

    if run:
        require_run(run, None, "--run ")  # the settings are those of the shards
    typer.echo(merge(shards, out, details))
    if folder := _noted_in(out, run):
        _keep(folder, run, settings_of(shards[0]))


def _inputs(
    run: Path | None, ground_truth: Path | None, predictions: Path | None
) -> tuple[Path, Path]:
    """Ground truth and predictions as given, else those of the run."""
    if run is not None:
        if predictions is None or same_file(predictions, RunFolder(run).predictions):
            predictions = in_run("predictions")(run)  # refuses those of another checkpoint
        if ground_truth is None:
            ground_truth, _ = run_data(run)
            if not ground_truth.is_file():
                raise InputError(
                    f"--run {run}: no ground truth in its results folder ({ground_truth}); give "
                    "--ground-truth"
                )
    assert ground_truth and predictions  # required without --run
    return ground_truth, predictions


def _noted_in(out: Path, run: Path | None) -> Path | None:
    """The folder that notes how these metrics were evaluated: the run's, where they are those in
    it; or that of metrics which they replace and of which it was noted.

    Metrics elsewhere are another evaluation of the run: they change nothing in its folder.
    """
    if run and same_file(out, RunFolder(run).metrics):
        return run
    beside = RunFolder(out.parent)
    replaced = same_file(out, beside.metrics) and beside.evaluation.is_file()
    return beside.path if replaced else None


def _keep(folder: Path, run: Path | None, settings: Mapping[str, Any]) -> None:
    """Notes how the metrics in a folder were evaluated, and sends those of `run` to its MLflow
    run."""
    from vatrack.experiments.log import log_evaluation

    write_yaml(RunFolder(folder).evaluation, settings)
    if folder == run:
        log_evaluation(run)


def examples(
    out: Annotated[Path, out_folder("Output folder for the examples.")],
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            help="Ground truth in the joint form (.json or .json.gz); default: a small rendered "
            "example."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the errors.")] = 0,
) -> None:
    """Write perfect and faulty example predictions, for testing the evaluation."""
    from vatrack.evaluation.examples import write_examples

    typer.echo(write_examples(ground_truth, out, seed))
