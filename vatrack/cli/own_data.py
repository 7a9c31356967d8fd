"""Subcommands for annotations of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import ConfigFile, Overrides
from vatrack.common.errors import InputError
from vatrack.config import load_config


def init_config(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder with annotations and images; the options say what is not."),
    ] = None,
    train: Annotated[Path | None, typer.Option(help="Own annotations to train on.")] = None,
    valid: Annotated[Path | None, typer.Option(help="Own annotations to validate on.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder that file names begin in.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The config; default: a new own.yaml here.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option(min=0, help="GPU memory in GB; default: of this machine's GPU.")
    ] = None,
) -> None:
    """Write a commented config for own annotations, and say what to run next."""
    from vatrack.validate.find_data import FoundData, find_data
    from vatrack.validate.first_config import init_config as write

    target = out or Path("own.yaml")
    if out is None and target.exists():
        raise InputError(f"{target}: is there already; name another file by --out")
    if train and valid and images:
        data = FoundData(train, valid, images)
    elif folder is None:
        raise InputError("name a folder, or all of --train, --valid and --images")
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
    out: Annotated[Path, typer.Option("--out", help="Folder for what the methods read.")],
    subset: Annotated[str, typer.Option(help="train or valid.")],
    overrides: Overrides = None,
) -> None:
    """Complete own annotations (dataset.format: joint) and write what the methods read."""
    from vatrack.data.joint import prepare_joint

    settings = load_config(config, overrides)
    dataset = settings.dataset
    files = {"train": dataset.train_json, "valid": dataset.valid_json}
    if subset not in files:
        raise InputError(f"--subset {subset}: give train or valid")
    source, images = files[subset], dataset.images
    if dataset.format != "joint" or source is None or images is None:
        raise InputError(f"{config}: is not for own annotations; set dataset.format: joint")
    typer.echo(prepare_joint(source, images, dataset, out, settings.methods))
