"""Subcommands that show the results of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import Images, Predictions, out_file, out_folder, score_option

Score = Annotated[float, score_option()]
Runs = Annotated[
    list[str],
    typer.Option(
        "--run",
        metavar="[LABEL=]PATH",
        help="Run folder or results folder (also LABEL=FOLDER), or METHOD/BACKBONE[:LABEL]=FILE of "
        "metrics (repeatable).",
    ),
]
Means = Annotated[
    bool,
    typer.Option(
        help="Add mean and standard deviation over seeds: runs with labels that differ only in the "
        "seed (e6-seed0, e6-seed1)."
    ),
]
GroundTruth = Annotated[Path, typer.Option(help="Ground truth in the joint form.")]


def tables(
    run: Runs,
    out: Annotated[Path, out_folder("Output folder for the tables.")],
    details: Annotated[
        list[str] | None,
        typer.Option(
            help="Details of a --run that is given as a metrics file: METHOD/BACKBONE[:LABEL]=FILE "
            "(repeatable)."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Name of the dataset of all runs (default: from their config.yaml)."),
    ] = None,
    means: Means = True,
    full: Annotated[
        bool, typer.Option("--full", help="Print all tables, not only the key metrics.")
    ] = False,
) -> None:
    """Write result tables: the paper's four, tracking, by class, by video (CSV, MD, TeX, HTML)."""
    from vatrack.reporting.tables import write_tables

    written = write_tables(run, out, details=details or (), dataset=dataset, means=means)
    typer.echo(written.whole if full else written)


def figures(
    run: Annotated[list[Path], typer.Option(metavar="FOLDER", help="Run folder (repeatable).")],
    out: Annotated[Path, out_folder("Output folder for the plots.")],
) -> None:
    """Plot the loss and metric curves of runs."""
    from vatrack.reporting.plots import write_curves

    typer.echo(write_curves(run, out))


def overlay(
    ground_truth: GroundTruth,
    predictions: Predictions,
    images: Images,
    out: Annotated[Path, out_file("Output image (PNG).")],
    score: Score = 0.5,
    clips: Annotated[int, typer.Option(help="Number of clips to show.")] = 3,
    video: Annotated[
        Path | None, typer.Option(help="Also write these clips as a video (MP4).")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frame rate of the video, 0.001 to 240.")] = 8.0,
) -> None:
    """Draw ground truth and predictions of a few clips side by side."""
    from vatrack.reporting.overlay import write_overlay

    typer.echo(
        write_overlay(
            ground_truth,
            predictions,
            images,
            out,
            score=score,
            clips=clips,
            video=video,
            rate=fps,
        )
    )


def views(
    ground_truth: GroundTruth,
    predictions: Predictions,
    images: Images,
    out: Annotated[
        Path,
        out_folder("Output folder; the report expects RUN/views."),
    ],
    details: Annotated[
        Path | None,
        typer.Option(help="details.json of these predictions, to find the worst and best clips."),
    ] = None,
    score: Score = 0.5,
    clips: Annotated[
        int, typer.Option(help="Number of clips in each group: worst, best, other.")
    ] = 3,
    fps: Annotated[float, typer.Option(help="Frame rate of the videos, 0.001 to 240.")] = 8.0,
) -> None:
    """Draw clips for the report: input, ground truth and predictions, amodal and visible."""
    from vatrack.reporting.views_video import write_views

    drawn = write_views(
        ground_truth,
        predictions,
        images,
        out,
        details=details,
        score=score,
        each=clips,
        rate=fps,
    )
    typer.echo(f"{out}: {drawn}")


def report(
    run: Runs,
    out: Annotated[Path, out_file("Output HTML file.")],
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Results folder; adds its cut sheets and run times to the report.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Title of the report (default: the dataset's name).")
    ] = None,
    embed: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="MB",
            help="Embed videos and images up to this total size, in MB, and link to the rest.",
        ),
    ] = 6.0,
    means: Means = True,
) -> None:
    """Write an HTML report: key metrics, tables, clips, curves, settings."""
    from vatrack.reporting.page import write_report

    typer.echo(write_report(run, out, results=results, title=title, embed_mb=embed, means=means))
