"""The subcommand that compares runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import out_folder, score_option

IMAGES = "Images of the page"


def compare(
    run: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_A RUN_B...", help="Run folders with metrics; the first is the baseline."
        ),
    ],
    out: Annotated[
        Path | None,
        out_folder("Output folder for compare.html (with images) and compare.txt."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="Metric to sort clips by, e.g. track/amodal/HOTA (default: image AP).",
        ),
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Number of clips in the text output.")] = 10,
    image_clips: Annotated[
        int,
        typer.Option(
            "--image-clips",
            min=0,
            help="Number of worst clips shown with images.",
            rich_help_panel=IMAGES,
        ),
    ] = 5,
    score: Annotated[float, score_option(IMAGES)] = 0.5,
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            help="Ground truth in the joint form (default: found in the runs' results folder).",
            rich_help_panel=IMAGES,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the frames (default: found in the runs' results folder).",
            rich_help_panel=IMAGES,
        ),
    ] = None,
) -> None:
    """Compare runs with the first one by metric, class and clip, worst clips first."""
    from vatrack.reporting.compare import compare_runs
    from vatrack.reporting.compare.clip_images import ClipImages

    wanted = ClipImages(image_clips, score=score, ground_truth=ground_truth, images=images)
    typer.echo(compare_runs(run, out, by=by, clips=clips, clip_images=wanted))
