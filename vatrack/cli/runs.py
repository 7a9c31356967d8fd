"""Subcommands of one run: training, choice of the checkpoint, prediction."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import (
    Annotations,
    AnyConfig,
    BackboneName,
    CheckpointBackbone,
    CheckpointConfig,
    CheckpointFile,
    CheckpointMethod,
    ClassMap,
    ConfigFile,
    Images,
    MethodName,
    OneBackbone,
    OneMethod,
    OneSeed,
    Out,
    Overrides,
    RunOut,
    RunsConfig,
    shard_option,
)
from vatrack.common.shards import parse_shard
from vatrack.config import Backbone, Method, RunConfig, load_config, load_run
from vatrack.config.classes import ClassList
from vatrack.config.file_classes import parse_class_map
from vatrack.runs.folder import RunFolder


def train(
    config: ConfigFile,
    annotations: Annotations,
    images: Images,
    out: RunOut,
    method: OneMethod = None,
    backbone: OneBackbone = None,
    seed: OneSeed = None,
    overrides: Overrides = None,
) -> None:
    """Train one method (in this process or under torchrun). Resumes an interrupted training."""
    from vatrack.experiments.log import ExperimentLog
    from vatrack.training.loop import train as run

    resolved = load_run(config, method, backbone, overrides, seed)
    summary = run(resolved, annotations, images, out, ExperimentLog.start)
    if os.environ.get("RANK", "0") == "0":
        typer.echo(summary)


def launch(
    config: ConfigFile,
    annotations: Annotations,
    images: Images,
    out: RunOut,
    method: OneMethod = None,
    backbone: OneBackbone = None,
    seed: OneSeed = None,
    overrides: Overrides = None,
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

    run = load_run(config, method, backbone, overrides, seed)
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


def fetch_weights(config: ConfigFile, overrides: Overrides = None) -> None:
    """Download the weights that trainings of a config start from, and verify their checksums.

    Existing files are checked and never overwritten.
    """
    from vatrack.weights.fetch import fetch_weights as fetch

    typer.echo(fetch(load_config(config, overrides)))


def select(
    run: Annotated[Path, typer.Option(help="The run's folder.")],
    out: Out,
    config: RunsConfig = None,
    overrides: Overrides = None,
) -> None:
    """Choose the best checkpoint of a run by its validation metrics."""
    from vatrack.runs.select import select_best

    chosen = load_config(config or RunFolder(run).config, overrides)
    typer.echo(select_best(run, chosen.selection, out))


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
            help="Take what fits, for training.weights; also of a backbone alone.",
        ),
    ] = False,
    config: AnyConfig = None,
    overrides: Overrides = None,
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
            help="Name of a class of the file, all of them in its order (repeatable; default: "
            "those of the config, or the file's own where their number differs).",
        ),
    ] = None,
) -> None:
    """Import a published checkpoint or initial weights and report how each tensor was mapped."""
    from vatrack.weights.openmmlab import import_checkpoint as take

    chosen = load_config(config, overrides)
    names = ClassList(tuple(classes)) if classes else None
    run = chosen.for_run(method, backbone)
    typer.echo(take(source, run, out, partial=partial, key=key, classes=names))


def export(checkpoint: CheckpointFile, out: Out) -> None:
    """Export a checkpoint as safetensors, including its config, for sharing."""
    from vatrack.weights.export import export as write

    typer.echo(write(checkpoint, out))


def predict(
    checkpoint: CheckpointFile,
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
    config: CheckpointConfig = None,
    overrides: Overrides = None,
    method: CheckpointMethod = None,
    backbone: CheckpointBackbone = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Processes of one thread, each for whole clips; 0: one for each core. Without it: "
            "one process, all threads.",
        ),
    ] = None,
    class_map: ClassMap = None,
    shard: Annotated[str | None, shard_option("merge-predictions")] = None,
) -> None:
    """Find, segment and track every object in the clips of a dataset."""
    from vatrack.inference.predict import predict_files

    run = _run_of(checkpoint, config, overrides, method, backbone)
    mapping = parse_class_map(class_map) if class_map else None
    only = None if shard is None else parse_shard(shard)
    typer.echo(predict_files(run, checkpoint, frames, images, out, processes, mapping, only))


def merge_predictions(
    shards: Annotated[
        list[Path], typer.Argument(metavar="SHARD...", help="Files of `vatrack predict --shard`.")
    ],
    out: Out,
) -> None:
    """Merge the predictions of all shards; the file is identical to an unsharded prediction's."""
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
