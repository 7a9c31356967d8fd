"""Subcommands that exchange predictions with other tools, and take over their datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from vatrack.cli.options import PredictionsArgument, one_of, out_file
from vatrack.cli.parsing import Advice
from vatrack.common.foreign import EXCHANGED, NO_FORMATS, Form, SourceForm, SourceFormat
from vatrack.common.mask_types import MaskType

GroundTruth = Annotated[
    Path,
    typer.Option(
        help="JSON that lists the same frames: joint form, or frames.json of `vatrack track`."
    ),
]


def export_predictions(
    predictions: PredictionsArgument,
    ground_truth: GroundTruth,
    to: Annotated[
        Form,
        typer.Option("--to", metavar="FORMAT", help=f"Output format: {one_of(get_args(Form))}."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            help="Output file, or folder for a format with a file per video.",
        ),
    ],
    mask_type: Annotated[MaskType, typer.Option(help="Masks and boxes to export.")] = EXCHANGED,
) -> None:
    """Export predictions in the format of another tool, as a file or a file per video."""
    from vatrack.exchange import export_predictions as export

    typer.echo(export(predictions, ground_truth, to, out, mask_type))


def import_predictions(
    source: Annotated[
        Path, typer.Argument(help="Results file, or folder with one text file per video.")
    ],
    ground_truth: GroundTruth,
    origin: Annotated[
        SourceForm,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help=f"Format of the source: {one_of(get_args(SourceForm))}.",
        ),
    ],
    out: Annotated[Path, out_file("Predictions to write (JSON Lines).")],
    mask_type: Annotated[MaskType, typer.Option(help="Type of its masks.")] = EXCHANGED,
) -> None:
    """Convert the results of another tracker into predictions for `vatrack evaluate`."""
    from vatrack.exchange import import_predictions as take

    typer.echo(take(source, ground_truth, origin, out, mask_type))


def import_dataset(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Annotation files or folders.")
    ],
    origin: Annotated[
        SourceFormat,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help=f"Format of the sources: {one_of(get_args(SourceFormat))}; that of KINS is "
            "coco-amodal.",
        ),
        Advice(NO_FORMATS),
    ],
    images: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder that the image names are relative to.")
    ],
    out: Annotated[Path, out_file("Joint JSON to write.")],
    relative_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder that the names in the output are relative to: one that contains the "
            "images of training and validation (default: --images).",
        ),
    ] = None,
) -> None:
    """Convert the annotations of another dataset into a joint JSON, with its classes and tracks."""
    from vatrack.importers import import_dataset as take

    typer.echo(take(origin, sources, images, out, relative_to))
