"""The subcommand for own videos."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from vatrack.cli.options import in_run, out_folder
from vatrack.common.counted import counted

logger = logging.getLogger(__name__)

TRUNCATED = 3  # exit code: done, but a source was truncated or damaged, or a stream broke off
OVERLAY = "Overlay"  # a table of its own in the help: `--no-overlay` would narrow that of all


def track(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Video file, folder of frames, pattern ('frames/*.png'), text file with one path "
            "per line, camera number, or address (rtsp://...).",
        ),
    ],
    checkpoint: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="Checkpoint: a run folder or its best.pt, an exported .safetensors, or a "
            "published .pth.",
            callback=in_run("best_checkpoint"),
        ),
    ],
    out: Annotated[
        Path,
        out_folder("Output folder; each source gets a subfolder with its name."),
    ] = Path("tracked"),
    method: Annotated[
        str | None,
        typer.Option(
            help="Method, if a published file does not contain it: qdtrack or amodaltrack."
        ),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Backbone (only to verify the file).")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Key of the weights, if the file contains several sets.")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="DEVICE",
            help="auto (the first GPU, or the CPU if there is none), cpu, cuda, or one of several "
            "GPUs: cuda:1 is the second.",
        ),
    ] = "auto",
    half: Annotated[
        bool,
        typer.Option(
            "--half", help="Compute in bfloat16: faster, with slightly different results."
        ),
    ] = False,
    score: Annotated[
        float | None,
        typer.Option(
            help="Lowest score to show, from 0 to 1 (default: 0.5); may be below the thresholds of "
            "the checkpoint."
        ),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Keep only this class (repeatable).")
    ] = None,
    largest_side: Annotated[
        int | None,
        typer.Option(help="Longer side of the network input in pixels (default: as in training)."),
    ] = None,
    every: Annotated[int, typer.Option(help="Use every n-th frame.")] = 1,
    start: Annotated[float, typer.Option("--from", help="Start time in seconds.")] = 0.0,
    stop: Annotated[
        float | None,
        typer.Option("--to", help="End time in seconds (exclusive; default: end of the video)."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--fps", help="Frame rate of image sequences (default: 25).")
    ] = None,
    cuts: Annotated[
        Literal["detect", "none"],
        typer.Option(
            help="detect: start new tracks at hard cuts; none: treat the video as one shot."
        ),
    ] = "detect",
    draw: Annotated[
        str,
        typer.Option(
            help="What to draw, comma-separated: outline (whole object), fill (visible part), "
            "hidden (hatched hidden part), box, id, class, score, trail (default: all but box and "
            "trail).",
            show_default=False,
            rich_help_panel=OVERLAY,
        ),
    ] = "outline,fill,hidden,id,class,score",
    line_width: Annotated[
        int | None,
        typer.Option(
            help="Line width in pixels (default: depends on the frame size).",
            rich_help_panel=OVERLAY,
        ),
    ] = None,
    encoder: Annotated[
        Literal["openh264", "x264", "vp9"],
        typer.Option(
            metavar="NAME",
            help="Video encoder of the overlay: openh264, vp9, or x264, which makes smaller files "
            "and is under the GPL.",
            rich_help_panel=OVERLAY,
        ),
    ] = "openh264",
    overlay: Annotated[
        bool,
        typer.Option("--overlay/--no-overlay", help="Write overlay.mp4.", rich_help_panel=OVERLAY),
    ] = True,
    sound: Annotated[
        bool,
        typer.Option(
            "--sound/--no-sound", help="Copy the sound to the overlay.", rich_help_panel=OVERLAY
        ),
    ] = True,
    save_masks: Annotated[
        bool, typer.Option("--save-masks", help="Save each mask as a PNG file.")
    ] = False,
    save_crops: Annotated[
        bool, typer.Option("--save-crops", help="Save each object's crop as a PNG file.")
    ] = False,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Show frames in a window while tracking; q or Escape stops, also further sources.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite results of an earlier run.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")] = False,
) -> None:
    """Detect, segment (visible and hidden parts) and track the objects in your own videos.

    Writes overlay.mp4, predictions.jsonl, inference.yaml, frames.json, tracks.csv and run.yaml for
    each source.
    Exits with 3 if a source was truncated or damaged, or a stream broke off.
    """
    from vatrack.api.choices import check_network
    from vatrack.api.folders import check_folders
    from vatrack.api.settings import TrackSettings
    from vatrack.common.device import check_device
    from vatrack.reporting.video import DrawSettings
    from vatrack.video.frames import Selection
    from vatrack.video.sources import find_sources
    from vatrack.weights.recognise import require_file

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
    # What is wrong is told before torch is imported, which takes seconds.
    check_device(device)
    check_network(method, backbone, largest_side)
    require_file(checkpoint, "checkpoint")
    found = find_sources(sources)
    check_folders(found, out, overwrite=overwrite)
    single = [source for source in found if source.files == (Path(source.address),)]
    if len(single) > 1:  # as the shell makes them of a pattern without quotes
        logger.warning(
            "%s given, and each is tracked as a video of its own; to track them as one video, give "
            "their folder, or their pattern in quotes",
            counted(len(single), "image"),
        )
    from vatrack.api.load import load
    from vatrack.api.track import track_videos
    from vatrack.common.allocator import keep_memory

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
