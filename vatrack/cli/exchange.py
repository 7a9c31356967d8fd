"""Subcommands that exchange predictions with other tools, and take over their datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import Out
from vatrack.common.foreign import Form, SourceForm, SourceFormat
from vatrack.common.mask_types import MaskType

GroundTruth = Annotated[
    Path,
    typer.Option(help="Joint JSON of the same frames, or the frames.json of `vatrack track`."),
]


def export_predictions(
    predictions: Annotated[Path, typer.Argument(help="JSON Lines or a JSON array.")],
    ground_truth: GroundTruth,
    to: Annotated[Form, typer.Option("--to", help="Form to write.")],
    out: Out,
    mask_type: Annotated[MaskType, typer.Option(help="Which masks and boxes.")] = "amodal",
) -> None:
    """Write predictions in the form of another tool: a file, or a folder with a file a video."""
    from vatrack.exchange import export_predictions as export

    typer.echo(export(predictions, ground_truth, to, out, mask_type))


def import_predictions(
    source: Annotated[Path, typer.Argument(help="File, or folder with a text file a video.")],
    ground_truth: GroundTruth,
    origin: Annotated[SourceForm, typer.Option("--from", help="Form of the source.")],
    out: Out,
    mask_type: Annotated[MaskType, typer.Option(help="What its masks are.")] = "visible",
) -> None:
    """Turn what another tracker wrote into predictions that `vatrack evaluate` reads."""
    from vatrack.exchange import import_predictions as take

    typer.echo(take(source, ground_truth, origin, out, mask_type))


def import_dataset(
    sources: Annotated[list[Path], typer.Argument(help="Files or folders of annotations.")],
    origin: Annotated[SourceFormat, typer.Option("--from", help="Format of the sources.")],
    images: Annotated[Path, typer.Option(help="Folder that the names of images begin in.")],
    out: Out,
) -> None:
    """Turn the annotations of another dataset into a joint JSON, with its classes and tracks."""
    from vatrack.importers import import_dataset as take

    typer.echo(take(origin, sources, images, out))
