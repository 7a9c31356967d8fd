"""Subcommands that download, import and export weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import (
    AnyConfig,
    BackboneName,
    CheckpointFile,
    ConfigFile,
    MethodName,
    Overrides,
    out_file,
)
from vatrack.common.errors import InputError
from vatrack.config import load_config
from vatrack.config.classes import ClassList, names_problem


def fetch_weights(config: ConfigFile, overrides: Overrides = None) -> None:
    """Download the pretrained weights that the config names, and verify their checksums.

    Existing files are verified and never overwritten.
    """
    from vatrack.weights.fetch import fetch_weights as fetch

    typer.echo(fetch(load_config(config, overrides)))


def import_checkpoint(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="PyTorch or safetensors file with OpenMMLab tensor names."
        ),
    ],
    method: MethodName,
    backbone: BackboneName,
    out: Annotated[Path, out_file("Checkpoint to write (.pt).")],
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Import only the tensors that fit, as initial weights (training.weights); also "
            "works for a backbone alone.",
        ),
    ] = False,
    config: AnyConfig = None,
    overrides: Overrides = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Key of the weights in the file, or a prefix of their names, for example "
            "ema_state_dict."
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Class of the file (repeat for all, in the file's order; default: the classes of "
            "the config, or the file's own if their number differs).",
        ),
    ] = None,
) -> None:
    """Import a published checkpoint or initial weights and report how each tensor was mapped."""
    from vatrack.weights.openmmlab import import_checkpoint as take

    chosen = load_config(config, overrides)
    if classes and (problem := names_problem(classes)):
        raise InputError(f"--class: {problem}")
    names = ClassList(tuple(classes)) if classes else None
    run = chosen.for_run(method, backbone)
    typer.echo(take(source, run, out, partial=partial, key=key, classes=names))


def export(
    checkpoint: CheckpointFile, out: Annotated[Path, out_file("Weights to write (.safetensors).")]
) -> None:
    """Export a checkpoint as safetensors, including its config, for sharing."""
    from vatrack.weights.export import export as write

    typer.echo(write(checkpoint, out))
