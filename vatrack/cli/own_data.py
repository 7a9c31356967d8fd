"""Subcommands for annotations of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import ConfigFile, Overrides, out_file, out_folder
from vatrack.common.errors import InputError
from vatrack.config import load_config


def init_config(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder with annotations and images; use options for files that are elsewhere."
        ),
    ] = None,
    train: Annotated[Path | None, typer.Option(help="Your annotations for training.")] = None,
    valid: Annotated[Path | None, typer.Option(help="Your annotations for validation.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder that the file names are relative to."),
    ] = None,
    out: Annotated[
        Path | None,
        out_file("Config to write (default: own.yaml in this folder)."),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(min=0, help="GPU memory in GB (default: that of this machine's GPU)."),
    ] = None,
) -> None:
    """Write a commented config for your own annotations and print the next commands."""
    from vatrack.validate.find_data import FoundData, find_data
    from vatrack.validate.first_config import init_config as write

    target = out or Path("own.yaml")
    if train and valid and images:
        if folder is not None:
            raise InputError(
                f"{folder}: has no effect with all of --train, --valid and --images; remove it"
            )
        data = FoundData(train, valid, images)
    elif folder is None:
        raise InputError("no annotations; give a folder, or all of --train, --valid and --images")
    else:
        data = find_data(folder, train, valid, images)
        typer.echo(data)
    if memory is None:
        import torch

        cuda = torch.cuda.is_available()
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30 if cuda else 0.0
    typer.echo(write(data.train, data.valid, data.images, target, round(memory, 1)))


def prepare(
    config: ConfigFile,
    out: Annotated[
        Path,
        out_folder("Output folder for the training annotations."),
    ],
    subset: Annotated[str, typer.Option(help="train or valid.")],
    overrides: Overrides = None,
) -> None:
    """Complete your own annotations (dataset.format: joint) and write the training annotations."""
    from vatrack.data.joint.prepare import prepare_joint

    settings = load_config(config, overrides)
    dataset = settings.dataset
    if subset not in ("train", "valid"):
        raise InputError(f"--subset {subset}: no such subset; give train or valid")
    source, images = dataset.annotation_files(None).get(subset), dataset.images
    if dataset.format != "joint" or source is None or images is None:
        raise InputError(
            f"{config}: not a config for your own annotations; set dataset.format: joint"
        )
    typer.echo(prepare_joint(source, images, dataset, out, settings.methods))
