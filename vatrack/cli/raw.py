"""Subcommands from the download to an index of the frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import AnyConfig, Overrides, Processes, Raw, out_file, out_folder
from vatrack.cli.parsing import Unless
from vatrack.common.errors import InputError
from vatrack.config import load_config, parse_config
from vatrack.config.dataset import SyntheticConfig, ValidationConfig


def synth(
    out: Annotated[
        Path, out_folder("Output folder for the raw frames, train.json and valid.json.")
    ],
    config: AnyConfig = None,
    overrides: Overrides = None,
    train_videos: Annotated[
        int | None, typer.Option(help="Number of videos in train.json.")
    ] = None,
    valid_videos: Annotated[
        int | None, typer.Option(help="Number of videos in valid.json.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Number of raw frames per video.")] = None,
    width: Annotated[int | None, typer.Option(help="Frame width in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Frame height in pixels.")] = None,
    objects: Annotated[int | None, typer.Option(help="Mean number of objects per shot.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    processes: Processes = 1,
) -> None:
    """Render the miniature dataset in SAIL-VOS's raw layout. Options override the config."""
    from vatrack.synthetic.render import render

    chosen = load_config(config, overrides)
    given = {"train_videos": train_videos, "valid_videos": valid_videos, "frames": frames}
    given |= {"width": width, "height": height, "objects": objects}
    values = chosen.dataset.synthetic.model_dump() | {
        key: value for key, value in given.items() if value is not None
    }
    settings = parse_config(values, "vatrack synth", SyntheticConfig)
    typer.echo(render(out, settings, chosen.seed if seed is None else seed, processes))


def fetch(
    url: Annotated[str, typer.Option(help="Address to download: https://, http:// or file://.")],
    size: Annotated[int, typer.Option(min=1, help="Expected size in bytes.")],
    sha256: Annotated[str, typer.Option(help="Expected SHA-256 checksum, 64 hexadecimal digits.")],
    out: Annotated[Path, out_file("File to download to.")],
) -> None:
    """Download a file and verify its checksum. Existing files are never overwritten."""
    from vatrack.common.download import fetch as fetch_file

    typer.echo(fetch_file(url, size, sha256, out))


def unpack(
    archive: Annotated[
        list[Path] | None,
        typer.Option(help="Archive to unpack (repeatable)."),
        Unless(("config", "overrides")),
    ] = None,
    config: AnyConfig = None,
    overrides: Overrides = None,
    checksums: Annotated[
        Path | None, typer.Option(help="Checksums of the archives, in the format of `sha256sum`.")
    ] = None,
    out: Annotated[
        Path | None,
        out_folder("Output folder for the raw frames."),
        Unless(("config", "overrides")),
    ] = None,
    strip: Annotated[
        int | None,
        typer.Option(min=0, help="Number of leading folders to strip from names in the archives."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of archives unpacked at a time.")] = 1,
    record: Annotated[
        Path | None, typer.Option(help="JSON file that records what was unpacked.")
    ] = None,
) -> None:
    """Unpack the archives of the raw download. Resumes where it stopped.

    Options override the config.
    """
    from vatrack.sailvos.archives.volumes import archives_with_checksums
    from vatrack.sailvos.unpack import unpack as unpack_archives

    dataset = load_config(config, overrides).dataset
    if checksums and not archive:
        raise InputError(
            "--checksums needs --archive; in a config, give each of dataset.archives its own sha256"
        )
    archives = archives_with_checksums(archive, checksums) if archive else dataset.archives
    raw = out or dataset.raw
    if raw is None:
        raise InputError("no output folder; give --out, or set dataset.raw in the config")
    typer.echo(
        unpack_archives(
            archives, raw, dataset.archive_strip if strip is None else strip, workers, record
        )
    )


def annotate(
    raw: Raw,
    out: Annotated[Path, out_file("Annotations to write (JSON).")],
    video: Annotated[
        list[str] | None,
        typer.Option(help="Video to annotate (repeatable; default: all)."),
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(help="Instead of --video: text file with one video name per line."),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            help="Categories of the 3-D models: CSV (name,category,id) or an official annotation "
            "JSON. Without it, only persons are annotated."
        ),
    ] = None,
    processes: Processes = 1,
) -> None:
    """Create SAIL-VOS annotation files from the raw masks, if you lack the official ones."""
    from vatrack.sailvos.annotate import annotate_files

    typer.echo(annotate_files(raw, out, video or (), videos, models, processes))


def validate(
    raw: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the raw frames.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="Official train.json (default: in the raw folder).")
    ] = None,
    valid: Annotated[
        Path | None, typer.Option(help="Official valid.json (default: in the raw folder).")
    ] = None,
    joint: Annotated[
        list[Path] | None,
        typer.Option(help="Instead of --raw: your own annotations (repeatable; docs/own-data.md)."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="With --joint: folder that the file names are relative to."
        ),
    ] = None,
    out: Annotated[Path | None, out_file("JSON report to write.")] = None,
    config: AnyConfig = None,
    overrides: Overrides = None,
    frames: Annotated[
        str | None,
        typer.Option(
            help="How frames are checked: decode (whole), header (header and length) or exist "
            "(names only)."
        ),
    ] = None,
    masks: Annotated[
        bool | None,
        typer.Option(
            "--masks/--no-masks",
            help="Also compare areas, boxes and occlusion rates with the masks (own data: "
            "visible masks and occlusion rates with amodal masks).",
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Treat this error code as a warning (repeatable)."),
    ] = None,
    processes: Processes = 1,
) -> None:
    """Check raw frames and annotations and report every problem. Exits with 2 if there are errors.

    Options override the config.
    """
    from vatrack.validate import validate as check
    from vatrack.validate.joint import subsets_of

    chosen = load_config(config, overrides)
    given = {"frames": frames, "masks": masks, "accept": accept}
    values = chosen.dataset.validation.model_dump() | {
        key: value for key, value in given.items() if value is not None
    }
    settings = parse_config(values, "vatrack validate", ValidationConfig)
    dataset = chosen.dataset
    classes = dataset.class_list
    own = subsets_of(joint or ())
    if not own and dataset.format == "joint":
        own = dataset.annotation_files(None)
    if own:
        from vatrack.validate import validate_joint

        for name, path in {"raw": raw, "train": train, "valid": valid}.items():
            if path is not None:
                raise InputError(
                    f"--{name}: has no effect with your own annotations; remove it, or "
                    f"{'--joint' if joint else 'dataset.format: joint from the config'}"
                )
        folder = images or dataset.images
        if folder is None:
            raise InputError(
                "--joint: no folder of images; give --images, the folder that the file names are "
                "relative to"
            )
        wanted = classes if config else None
        methods = chosen.methods if config or "methods" in chosen.model_fields_set else ()
        typer.echo(validate_joint(folder, own, settings, out, processes, wanted, methods))
        return
    if images is not None:
        raise InputError("--images: has no effect without --joint; give both, or neither")
    raw = raw or dataset.raw
    if raw is None:
        raise InputError(
            "no data to check; give --raw, or a config with dataset.raw; for your own annotations "
            "give --joint and --images, or a config with dataset.format: joint"
        )
    official = dataset.annotation_files(raw)
    official |= {name: path for name, path in (("train", train), ("valid", valid)) if path}
    typer.echo(check(raw, official, settings, out, processes, classes))


def index(
    raw: Raw,
    train: Annotated[Path, typer.Option(help="Official train.json.")],
    valid: Annotated[Path, typer.Option(help="Official valid.json.")],
    out: Annotated[Path, out_file("Index file to write (JSON).")],
) -> None:
    """List the annotated frames of every video and check that they exist."""
    from vatrack.sailvos.index import build_index

    typer.echo(build_index(raw, {"train": train, "valid": valid}, out))
