"""Subcommands of one run: training, choice of the checkpoint, prediction, metrics."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import (
    Annotations,
    BackboneName,
    ClassMap,
    ConfigFile,
    Images,
    MethodName,
    Out,
    Processes,
    RunOut,
)
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.common.mask_types import MaskType
from vatrack.config import Config, load_config, load_run_config
from vatrack.config.classes import ClassList, parse_class_map
from vatrack.runs.folder import RunFolder


def train(
    config: ConfigFile,
    method: MethodName,
    backbone: BackboneName,
    annotations: Annotations,
    images: Images,
    out: RunOut,
) -> None:
    """Train one method (in this process or under torchrun). Resumes an interrupted training."""
    from vatrack.experiments.log import ExperimentLog
    from vatrack.training.loop import train as run

    resolved = load_config(config).for_run(method, backbone)
    summary = run(resolved, annotations, images, out, ExperimentLog.start)
    if os.environ.get("RANK", "0") == "0":
        typer.echo(summary)


def launch(
    config: ConfigFile,
    method: MethodName,
    backbone: BackboneName,
    annotations: Annotations,
    images: Images,
    out: RunOut,
    partition: Annotated[
        str | None, typer.Option(help="SLURM partition, if launcher.partition is null.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="SLURM account, if launcher.account is null.")
    ] = None,
    constraint: Annotated[
        str | None, typer.Option(help="SLURM constraint, if launcher.constraint is null.")
    ] = None,
    qos: Annotated[
        str | None, typer.Option(help="SLURM quality of service, if launcher.qos is null.")
    ] = None,
) -> None:
    """Train one method in a job that submitit starts; wait for it and show its log.

    Called again while the job is queued or runs, it waits for that job instead of starting another
    one.
    """
    from vatrack.cli.train_job import launch as submit
    from vatrack.jobs.launch import JobFailed

    run = load_config(config).for_run(method, backbone)
    given = {"partition": partition, "account": account, "constraint": constraint, "qos": qos}
    missing = {
        key: value for key, value in given.items() if value and getattr(run.launcher, key) is None
    }
    run = run.model_copy(update={"launcher": run.launcher.model_copy(update=missing)})
    try:
        typer.echo(submit(run, annotations, images, out))
    except JobFailed as error:
        print(f"vatrack: error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def select(
    run: Annotated[Path, typer.Option(help="The run's folder.")], config: ConfigFile, out: Out
) -> None:
    """Choose the best checkpoint of a run by its validation metrics."""
    from vatrack.runs.select import select_best

    typer.echo(select_best(run, load_config(config).selection, out))


def import_checkpoint(
    source: Annotated[
        Path,
        typer.Argument(metavar="SRC", help="PyTorch or safetensors file with OpenMMLab's names."),
    ],
    method: MethodName,
    backbone: BackboneName,
    out: Out,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Take what fits, for training.initial_checkpoint; also of a backbone alone.",
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="YAML config file; its default is the paper's model."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Where the weights lie in the file, or a prefix of their names: ema_state_dict."
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Name of a class of the file, all of them in its order (repeatable); without: "
            "those of the config, or the file's own where their number differs.",
        ),
    ] = None,
) -> None:
    """Import a published checkpoint or initial weights and report how each tensor was mapped."""
    from vatrack.weights.openmmlab import import_checkpoint as take

    chosen = load_config(config) if config else Config()
    names = ClassList(tuple(classes)) if classes else None
    run = chosen.for_run(method, backbone)
    typer.echo(take(source, run, out, partial=partial, key=key, classes=names))


def export(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint of a run.")], out: Out
) -> None:
    """Export a checkpoint as safetensors, including its config, for sharing."""
    from vatrack.weights.checkpoint import export as write

    typer.echo(write(checkpoint, out))


def predict(
    config: ConfigFile,
    checkpoint: Annotated[
        Path,
        typer.Option(
            help="Checkpoint: best.pt of a run, an imported .pt, or an exported .safetensors."
        ),
    ],
    method: MethodName,
    backbone: BackboneName,
    frames: Annotated[
        Path,
        typer.Option(
            "--frames",
            "--ground-truth",
            help="Frame-level JSON that lists the clips; its masks are not read.",
        ),
    ],
    images: Images,
    out: Out,
    processes: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes of one thread, each for whole clips; 0: one for each core. Without it: "
            "one process, all threads.",
        ),
    ] = None,
    class_map: ClassMap = None,
) -> None:
    """Find, segment and track every object in the clips of a dataset."""
    from vatrack.inference.predict import predict_files

    run = load_config(config).for_run(method, backbone)
    mapping = parse_class_map(class_map) if class_map else None
    typer.echo(predict_files(run, checkpoint, frames, images, out, processes, mapping))


def evaluate(
    ground_truth: Annotated[Path, typer.Option(help="Joint-form JSON (may be gzipped).")],
    predictions: Annotated[Path, typer.Option(help="JSON Lines or a JSON array (may be gzipped).")],
    out: Out,
    video_ground_truth_amodal: Annotated[
        Path | None,
        typer.Option(help="Amodal tracks of `vatrack convert`; without it they are derived."),
    ] = None,
    video_ground_truth_visible: Annotated[
        Path | None, typer.Option(help="The same for visible tracks.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="For the protocol switches and the occlusion limit."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Run's folder; it keeps the switches, its MLflow run gets the metrics."),
    ] = None,
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Ground truth with id 0 is never matched (quirk E1).")
    ] = False,
    details: Annotated[
        Path | None,
        typer.Option(help="JSON file to write: metrics of every class and every video."),
    ] = None,
    processes: Processes = 1,
    class_map: ClassMap = None,
) -> None:
    """Compute image, video and tracking metrics."""
    from vatrack.evaluation.evaluate import evaluate_files

    chosen = load_config(config) if config else Config()
    switches = chosen.evaluation
    if legacy:
        switches = switches.model_copy(update={"legacy_gt_id0": True})
    video: dict[MaskType, Path | None] = {
        "amodal": video_ground_truth_amodal,
        "visible": video_ground_truth_visible,
    }
    if run and not run.is_dir():
        raise InputError(
            f"--run {run}: no such folder; give the folder of the run that the predictions are of"
        )
    # Predictions of nothing do not tell what masks the method has.
    if run and RunFolder(run).config.is_file():
        masks = load_run_config(RunFolder(run).config).method.masks
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


def mlflow_sync(
    run: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="Another store than the run's own: http://HOST:PORT or sqlite:///FILE."),
    ] = None,
) -> None:
    """Upload whatever is missing in MLflow for these runs. Safe to repeat."""
    from vatrack.experiments.store import StoreError, run_config, sync

    for folder in run:
        run_config(folder)
    try:
        for folder in run:
            typer.echo(sync(folder, tracking_uri))
    except StoreError as error:
        print(
            f"vatrack: error: MLflow: {error}; the same command sends the rest later",
            file=sys.stderr,
        )
        raise typer.Exit(1) from None
