"""Subcommands that train and choose the best checkpoint."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import (
    Annotations,
    ConfigFile,
    Images,
    OneBackbone,
    OneMethod,
    OneSeed,
    Overrides,
    RunOut,
    RunsConfig,
    out_file,
)
from vatrack.common.errors import InputError
from vatrack.config import load_config, load_run
from vatrack.runs.folder import RunFolder
from vatrack.runs.results import require_run


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
    """Train one method as a job (local or SLURM); wait for it and show its log.

    If a job of this run is already queued or running, waits for it instead of starting another.
    """
    from vatrack.cli.train_job import launch as submit
    from vatrack.jobs.launch import JobFailed

    run = load_run(config, method, backbone, overrides, seed)
    given = {"partition": partition, "account": account, "constraint": constraint, "qos": qos}
    asked = [f"--{key}" for key, value in given.items() if value]
    if asked and run.launcher.cluster != "slurm":
        raise InputError(
            f"{asked[0]}: has no effect, because launcher.cluster is {run.launcher.cluster}; add "
            f"--set launcher.cluster=slurm, or remove {' and '.join(asked)}"
        )
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
    run: Annotated[Path, typer.Option(metavar="FOLDER", help="Run folder.")],
    out: Annotated[Path, out_file("JSON file for the choice; best.pt is written next to it.")],
    config: RunsConfig = None,
    overrides: Overrides = None,
) -> None:
    """Select the best checkpoint of a run by its validation metrics."""
    from vatrack.runs.select import select_best

    require_run(run, None if config else "config", "--run ")
    chosen = load_config(config or RunFolder(run).config, overrides)
    typer.echo(select_best(run, chosen.selection, out))
