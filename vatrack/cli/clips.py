"""Subcommands from an index of the frames to clips and their annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import (
    ConfigFile,
    Index,
    Overrides,
    Processes,
    Raw,
    Structure,
    Videos,
    out_file,
    out_folder,
)
from vatrack.config import load_config


def cuts_score(
    raw: Raw,
    index: Index,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="PATH", help="Score file for one --video, otherwise their folder."
        ),
    ],
    video: Videos = None,
    threads: Annotated[int, typer.Option(min=1, help="Number of threads.")] = 2,
) -> None:
    """Measure how much the content changes between the frames of videos."""
    from vatrack.sailvos.cuts import score_video_file, score_videos

    if video and len(video) == 1:
        typer.echo(score_video_file(raw, index, video[0], out, threads))
        return
    for scored in score_videos(raw, index, video or (), out, threads):
        typer.echo(scored)


def cuts_structure(
    config: ConfigFile,
    index: Index,
    out: Annotated[Path, out_file("Clip dictionary to write (JSON).")],
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of score files; required if clips.structure is detect."
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Write the clip dictionary (clip name: file names)."""
    from vatrack.sailvos.cuts import write_structure

    typer.echo(write_structure(load_config(config, overrides).dataset.clips, index, scores, out))


def cuts_compare(
    a: Annotated[Path, typer.Argument(help="First clip dictionary (JSON).")],
    b: Annotated[Path, typer.Argument(help="Second clip dictionary (JSON).")],
    out: Annotated[Path | None, out_file("JSON file for all differences, video by video.")] = None,
    videos: Annotated[
        int, typer.Option(min=0, help="Number of videos whose differences are shown.")
    ] = 10,
) -> None:
    """Compare two clip dictionaries. Exits with 1 if their clips differ."""
    from vatrack.sailvos.cut_compare import compare_files

    found = compare_files(a, b, out)
    typer.echo(found.describe(videos))
    if not found.equal:
        raise typer.Exit(1)


def cuts_sheet(
    raw: Raw,
    index: Index,
    structure: Structure,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            help="JPEG or PNG image for one --video, otherwise their folder.",
        ),
    ],
    video: Videos = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Score file of the video, or folder of score files, for the curve."
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Content score threshold, drawn in the curve.")
    ] = 27.0,
) -> None:
    """Draw the first frame of each clip of videos, and their score curves."""
    from vatrack.reporting.cut_sheet import Cuts, write_cut_sheet, write_cut_sheets

    data = Cuts(raw, index, structure, scores, threshold)
    if video and len(video) == 1:
        typer.echo(write_cut_sheet(data, video[0], out))
        return
    for sheet in write_cut_sheets(data, video or (), out):
        typer.echo(sheet)


def clips(
    config: ConfigFile,
    raw: Raw,
    structure: Structure,
    out: Annotated[Path, out_folder("Output folder for the clips.")],
    processes: Processes = 1,
    overrides: Overrides = None,
) -> None:
    """Build the folder of clips. Raw frames are linked or copied, never changed."""
    from vatrack.sailvos.clips import build_clip_tree

    mode = load_config(config, overrides).dataset.clips.mode
    typer.echo(build_clip_tree(raw, structure, out, mode, processes))


def convert(
    config: ConfigFile,
    official: Annotated[Path, typer.Option(help="Official annotation JSON of one subset.")],
    structure: Structure,
    out: Annotated[
        Path,
        out_folder("Output folder for the four annotation forms and the video ground truth."),
    ],
    processes: Processes = 1,
    overrides: Overrides = None,
) -> None:
    """Convert official annotations into the four training forms and the video ground truth."""
    from vatrack.sailvos.convert import convert_files

    dataset = load_config(config, overrides).dataset
    typer.echo(convert_files(official, structure, dataset, out, processes))
