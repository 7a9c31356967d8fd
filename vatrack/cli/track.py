"""The subcommand for own videos."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

TRUNCATED = 3  # exit code: done, but a source was cut off or damaged


def track(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Video file, folder of frames, pattern ('frames/*.png'), text file with one path "
            "a line, camera number, or address (rtsp://...).",
        ),
    ],
    checkpoint: Annotated[
        Path,
        typer.Option(
            help="best.pt of a run, an exported .safetensors file, or a published .pth file."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder; each source gets a folder of its name in it.")
    ] = Path("tracked"),
    method: Annotated[
        str | None,
        typer.Option(help="Of a published file that does not tell it: qdtrack or amodaltrack."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Only to make sure: that of the file.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Where the weights lie in a file that has several.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the first GPU, else the CPU.")
    ] = "auto",
    half: Annotated[
        bool, typer.Option("--half", help="Compute in bfloat16: faster, slightly other results.")
    ] = False,
    score: Annotated[float, typer.Option(help="Lowest score that is shown, 0 to 1.")] = 0.5,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Name of a wanted class (repeatable).")
    ] = None,
    largest_side: Annotated[
        int | None,
        typer.Option(help="Longer side of the network's input, pixels (default: as trained)."),
    ] = None,
    every: Annotated[int, typer.Option(help="Take every n-th frame.")] = 1,
    start: Annotated[float, typer.Option("--from", help="First time, seconds.")] = 0.0,
    stop: Annotated[
        float | None, typer.Option("--to", help="Last time, seconds (exclusive; default: all).")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--fps", help="Frames a second of image files (default 25).")
    ] = None,
    cuts: Annotated[
        Literal["detect", "none"],
        typer.Option(help="detect: a hard cut starts new tracks; none: the whole is one shot."),
    ] = "detect",
    draw: Annotated[
        str,
        typer.Option(
            help="What the overlay shows, parted by commas: outline (of the whole object), fill "
            "(visible part), hidden (hatched), box, id, class, score, trail.",
            show_default="outline, fill, hidden, id, class, score",
        ),
    ] = "outline,fill,hidden,id,class,score",
    line_width: Annotated[
        int | None, typer.Option(help="Pixels (default: by the frame's size).")
    ] = None,
    encoder: Annotated[
        Literal["openh264", "x264", "vp9"],
        typer.Option(help="Of the overlay; x264 is smaller and under the GPL."),
    ] = "openh264",
    overlay: Annotated[bool, typer.Option("--overlay/--no-overlay", help="Make overlay.mp4.")] = (
        True
    ),
    sound: Annotated[bool, typer.Option("--sound/--no-sound", help="Copy the sound.")] = True,
    save_masks: Annotated[
        bool, typer.Option("--save-masks", help="Save each mask as a PNG file.")
    ] = False,
    save_crops: Annotated[
        bool, typer.Option("--save-crops", help="Save each object's crop as a PNG file.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show frames while it runs.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of an earlier run.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only errors and warnings.")] = False,
) -> None:
    """Find, segment (visible and hidden parts) and track the objects of your own videos.

    Each source gets overlay.mp4, predictions.jsonl, frames.json, tracks.csv and run.yaml. Exit
    code 3: done, but a source was cut off or damaged.
    """
    from vatrack.api.load import load
    from vatrack.api.settings import TrackSettings
    from vatrack.api.track import track_videos
    from vatrack.common.allocator import keep_memory
    from vatrack.reporting.video import DrawSettings
    from vatrack.video.frames import Selection

    if quiet:
        logging.getLogger("vatrack").setLevel(logging.WARNING)
    settings = TrackSettings(
        score=score,
        classes=tuple(classes) if classes else None,
        selection=Selection(start, stop, every),
        rate=rate,
        cuts=cuts,
        overlay=overlay,
        draw=DrawSettings(
            tuple(part.strip() for part in draw.split(",") if part.strip()), line_width
        ),
        encoder=encoder,
        sound=sound,
        masks=save_masks,
        crops=save_crops,
        show=show,
        overwrite=overwrite,
    )
    keep_memory()
    predictor = load(
        checkpoint,
        device=device,
        method=method,
        backbone=backbone,
        key=key,
        largest_side=largest_side,
        half=half,
    )
    about = {"checkpoint": str(checkpoint)}
    truncated = False
    for tracked in track_videos(predictor, sources, out, settings, about=about):
        truncated |= tracked.truncated
        if not quiet:
            typer.echo(tracked)
    if truncated:
        raise typer.Exit(TRUNCATED)
