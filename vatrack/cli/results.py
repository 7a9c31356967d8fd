"""Subcommands that show the results of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import Images, Predictions


def tables(
    run: Annotated[
        list[str],
        typer.Option(
            help="A folder of results, a run's folder (also LABEL=FOLDER), or "
            "METHOD/BACKBONE[:LABEL]=FILE of metrics (repeatable)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Output folder for the tables.")],
    details: Annotated[
        list[str] | None,
        typer.Option(
            help="Details of a --run of that name, as METHOD/BACKBONE[:LABEL]=FILE; folders "
            "contain their own (repeatable)."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Dataset of all runs (default: what their config.yaml says)."),
    ] = None,
    means: Annotated[
        bool,
        typer.Option(
            help="Add mean and standard deviation of runs whose labels differ only in the seed at "
            "their end (seed0, e6-seed1)."
        ),
    ] = True,
) -> None:
    """Tabulate runs: the paper's four tables, tracking, by class, by video (CSV, MD, TeX, HTML)."""
    from vatrack.reporting.tables import write_tables

    typer.echo(write_tables(run, out, details=details or (), dataset=dataset, means=means))


def figures(
    run: Annotated[list[Path], typer.Option(help="A run's folder (repeatable).")],
    out: Annotated[Path, typer.Option("--out", help="Output folder for the plots.")],
) -> None:
    """Draw the loss and metric curves of runs."""
    from vatrack.reporting.plots import write_curves

    typer.echo(write_curves(run, out))


def overlay(
    ground_truth: Annotated[Path, typer.Option(help="Frame-level JSON in the joint form.")],
    predictions: Predictions,
    images: Images,
    out: Annotated[Path, typer.Option("--out", help="Output file, a PNG contact sheet.")],
    score: Annotated[float, typer.Option(help="Predictions below this score are not drawn.")] = 0.5,
    clips: Annotated[int, typer.Option(help="How many clips are shown.")] = 3,
    video: Annotated[
        Path | None, typer.Option(help="Also write a video (MP4) of the same clips.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames a second of the video.")] = 8.0,
) -> None:
    """Draw ground truth and predictions side by side for a few clips."""
    from vatrack.reporting.overlay import write_contact_sheet

    sheet = write_contact_sheet(ground_truth, predictions, images, out, score=score, clips=clips)
    typer.echo(sheet)
    if video:
        from vatrack.reporting.overlay_video import write_overlay_video

        typer.echo(
            write_overlay_video(
                ground_truth, predictions, images, video, score=score, clips=clips, rate=fps
            )
        )


def views(
    ground_truth: Annotated[Path, typer.Option(help="Frame-level JSON in the joint form.")],
    predictions: Predictions,
    images: Images,
    out: Annotated[Path, typer.Option("--out", help="Output folder: RUN/views for the report.")],
    details: Annotated[
        Path | None,
        typer.Option(help="details.json of these predictions: which clips are worst and best."),
    ] = None,
    score: Annotated[float, typer.Option(help="Predictions below this score are not drawn.")] = 0.5,
    clips: Annotated[
        int, typer.Option(help="How many of the worst, of the best and of the other clips.")
    ] = 3,
    fps: Annotated[float, typer.Option(help="Frames a second of the videos.")] = 8.0,
) -> None:
    """Draw clips for the report: input, ground truth and prediction, amodal and visible."""
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
    run: Annotated[
        list[str],
        typer.Option(
            help="A run's folder, or a folder of results; also LABEL=FOLDER (repeatable)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Output file, an HTML page.")],
    results: Annotated[
        Path | None,
        typer.Option(help="Folder of results: its cut sheets and run times are shown, too."),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Heading of the page (default: the dataset's name).")
    ] = None,
    embed: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="MB",
            help="Embed videos and images up to this total size in MB; link to the rest.",
        ),
    ] = 6.0,
    means: Annotated[
        bool,
        typer.Option(
            help="Add mean and standard deviation of runs whose labels differ only in the seed."
        ),
    ] = True,
) -> None:
    """Write a page about the results: key metrics, tables, clips, curves, settings."""
    from vatrack.reporting.page import write_report

    typer.echo(write_report(run, out, results=results, title=title, embed_mb=embed, means=means))
