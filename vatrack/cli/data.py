"""Subcommands from the raw download to annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.cli.options import (
    AnyConfig,
    ConfigFile,
    Index,
    Out,
    Overrides,
    Processes,
    Raw,
    Structure,
    Videos,
)
from vatrack.common.errors import InputError
from vatrack.config import load_config, parse_config
from vatrack.config.dataset import SyntheticConfig, ValidationConfig


def synth(
    out: Out,
    source: AnyConfig = None,
    overrides: Overrides = None,
    train_videos: Annotated[int | None, typer.Option(help="Videos in train.json.")] = None,
    valid_videos: Annotated[int | None, typer.Option(help="Videos in valid.json.")] = None,
    frames: Annotated[int | None, typer.Option(help="Raw frames per video.")] = None,
    width: Annotated[int | None, typer.Option(help="Frame width in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Frame height in pixels.")] = None,
    objects: Annotated[int | None, typer.Option(help="Objects per shot, on average.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness.")] = None,
    processes: Processes = 1,
) -> None:
    """Render the miniature set in SAIL-VOS's raw layout. Options override the config."""
    from vatrack.synthetic.render import render

    chosen = load_config(source, overrides)
    given = {"train_videos": train_videos, "valid_videos": valid_videos, "frames": frames}
    given |= {"width": width, "height": height, "objects": objects}
    values = chosen.dataset.synthetic.model_dump() | {
        key: value for key, value in given.items() if value is not None
    }
    settings = parse_config(values, "vatrack synth", SyntheticConfig)
    typer.echo(render(out, settings, chosen.seed if seed is None else seed, processes))


def examples(
    out: Out,
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            help="Joint-form JSON (may be gzipped); without it, a small one is rendered and "
            "written."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is spoilt.")] = 0,
) -> None:
    """Write perfect and spoilt example predictions, to check the evaluation by itself."""
    from vatrack.evaluation.examples import write_examples

    typer.echo(write_examples(ground_truth, out, seed))


def unpack(
    archive: Annotated[
        list[Path] | None,
        typer.Option(help="Archive to unpack (repeatable)."),
    ] = None,
    source: AnyConfig = None,
    overrides: Overrides = None,
    checksums: Annotated[
        Path | None, typer.Option(help="Checksums of the archives, as `sha256sum` writes them.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Raw folder to fill.")] = None,
    strip: Annotated[
        int | None, typer.Option(min=0, help="Leading folders in the archives to leave out.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of archives unpacked at a time.")] = 1,
    record: Annotated[
        Path | None, typer.Option(help="JSON file to write at the end: what was unpacked.")
    ] = None,
) -> None:
    """Unpack the raw download's archives. Resumes where it stopped; options override the config."""
    from vatrack.sailvos.archives.volumes import archives_with_checksums
    from vatrack.sailvos.unpack import unpack as unpack_archives

    dataset = load_config(source, overrides).dataset
    if checksums and not archive:
        raise InputError(
            "--checksums goes with --archive; in a config, each of dataset.archives has its own "
            "sha256"
        )
    archives = archives_with_checksums(archive, checksums) if archive else dataset.archives
    raw = out or dataset.raw
    if raw is None:
        raise InputError(
            "no folder to unpack into is given; name one by --out, or in the config's dataset.raw"
        )
    typer.echo(
        unpack_archives(
            archives, raw, dataset.archive_strip if strip is None else strip, workers, record
        )
    )


def annotate(
    raw: Raw,
    out: Out,
    video: Annotated[
        list[str] | None,
        typer.Option(help="Name of a video (repeatable); default: all videos."),
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Instead: a text file with one name a line.")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            help="Categories of 3-D models: CSV (name,category,id), JSON, or an official JSON. "
            "Without it: only persons."
        ),
    ] = None,
    processes: Processes = 1,
) -> None:
    """Create missing official annotations from the raw masks."""
    from vatrack.sailvos.annotate import annotate_files

    typer.echo(annotate_files(raw, out, video or (), videos, models, processes))


def validate(
    raw: Annotated[Path | None, typer.Option(help="Folder of the raw frames.")] = None,
    train: Annotated[Path | None, typer.Option(help="Official train.json.")] = None,
    valid: Annotated[Path | None, typer.Option(help="Official valid.json.")] = None,
    joint: Annotated[
        list[Path] | None,
        typer.Option(help="Instead: own annotations (repeatable; docs/own-data.md)."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="With --joint: folder that file names begin in.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="JSON report to write.")] = None,
    source: AnyConfig = None,
    overrides: Overrides = None,
    frames: Annotated[
        str | None,
        typer.Option(help="decode, header (only head and length) or exist (only names)."),
    ] = None,
    masks: Annotated[
        bool | None,
        typer.Option("--masks/--no-masks", help="Compare areas, boxes, rates with masks."),
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

    chosen = load_config(source, overrides)
    given = {"frames": frames, "masks": masks, "accept": accept}
    values = chosen.dataset.validation.model_dump() | {
        key: value for key, value in given.items() if value is not None
    }
    settings = parse_config(values, "vatrack validate", ValidationConfig)
    dataset = chosen.dataset
    classes = dataset.class_list
    own = {path.name: path for path in joint or ()}
    if not own and dataset.format == "joint" and dataset.train_json and dataset.valid_json:
        own = {"train": dataset.train_json, "valid": dataset.valid_json}
    if own:
        from vatrack.validate import validate_joint

        folder = images or dataset.images
        if folder is None:
            raise InputError("--joint needs --images, the folder that file names begin in")
        wanted = classes if source else None
        typer.echo(validate_joint(folder, own, settings, out, processes, wanted))
        return
    if raw is None or train is None or valid is None:
        raise InputError(
            "give --raw, --train and --valid; or --joint and --images, or a config of "
            "dataset.format: joint, for own annotations"
        )
    typer.echo(check(raw, {"train": train, "valid": valid}, settings, out, processes, classes))


def fetch(
    url: Annotated[str, typer.Option(help="https://, http:// or file:// address.")],
    size: Annotated[int, typer.Option(min=1, help="Expected size in bytes.")],
    sha256: Annotated[str, typer.Option(help="Checksum, 64 hexadecimal digits.")],
    out: Out,
) -> None:
    """Download a file and verify its checksum. Existing files are never overwritten."""
    from vatrack.common.download import fetch as fetch_file

    typer.echo(fetch_file(url, size, sha256, out))


def index(
    raw: Raw,
    train: Annotated[Path, typer.Option(help="Official train.json.")],
    valid: Annotated[Path, typer.Option(help="Official valid.json.")],
    out: Out,
) -> None:
    """List the annotated frames of every video and check that they exist."""
    from vatrack.sailvos.index import build_index

    typer.echo(build_index(raw, {"train": train, "valid": valid}, out))


def cuts_score(
    raw: Raw,
    index: Index,
    out: Annotated[
        Path, typer.Option("--out", help="Score file of the one --video; else their folder.")
    ],
    video: Videos = None,
    threads: Annotated[int, typer.Option(min=1, help="Number of threads.")] = 2,
) -> None:
    """Measure the content change between the frames of videos."""
    from vatrack.sailvos.cuts import score_video_file, score_videos

    if video and len(video) == 1:
        typer.echo(score_video_file(raw, index, video[0], out, threads))
        return
    for scored in score_videos(raw, index, video or (), out, threads):
        typer.echo(scored)


def cuts_structure(
    config: ConfigFile,
    index: Index,
    out: Out,
    scores: Annotated[
        Path | None,
        typer.Option(help="Folder of score files; needed for clips.structure = detect."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Write the dictionary of clips (clip name: file names)."""
    from vatrack.sailvos.cuts import write_structure

    typer.echo(write_structure(load_config(config, overrides).dataset.clips, index, scores, out))


def cuts_compare(
    a: Annotated[Path, typer.Argument(help="Dictionary of clips.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="JSON file for all that differs, video by video.")
    ] = None,
    videos: Annotated[int, typer.Option(min=0, help="Number of differing videos to show.")] = 10,
) -> None:
    """Compare two dictionaries of clips. Exits with 1 if their clips differ."""
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
        typer.Option("--out", help="Image of the one --video, JPEG or PNG; else their folder."),
    ],
    video: Videos = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="Score file of the video, or their folder; without it, no curve."),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Content score that makes a cut.")] = 27.0,
) -> None:
    """Draw the first frame of each clip of videos, and their score curves."""
    from vatrack.reporting.cut_sheet import write_cut_sheet, write_cut_sheets

    if video and len(video) == 1:
        typer.echo(write_cut_sheet(raw, index, structure, video[0], out, scores, threshold))
        return
    for sheet in write_cut_sheets(raw, index, structure, video or (), out, scores, threshold):
        typer.echo(sheet)


def clips(
    config: ConfigFile,
    raw: Raw,
    structure: Structure,
    out: Out,
    processes: Processes = 1,
    overrides: Overrides = None,
) -> None:
    """Build the clip tree; the raw frames are linked or copied, never changed."""
    from vatrack.sailvos.clips import build_clip_tree

    mode = load_config(config, overrides).dataset.clips.mode
    typer.echo(build_clip_tree(raw, structure, out, mode, processes))


def convert(
    config: ConfigFile,
    official: Annotated[Path, typer.Option(help="Official JSON of one subset.")],
    structure: Structure,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the four forms and the video ground truth.")
    ],
    processes: Processes = 1,
    overrides: Overrides = None,
) -> None:
    """Convert official annotations into the four training forms and the per-video ground truth."""
    from vatrack.sailvos.convert import convert_files

    dataset = load_config(config, overrides).dataset
    typer.echo(convert_files(official, structure, dataset, out, processes))


def prepare(
    config: ConfigFile,
    out: Annotated[Path, typer.Option("--out", help="Folder for what the methods read.")],
    subset: Annotated[str, typer.Option(help="train or valid.")],
    overrides: Overrides = None,
) -> None:
    """Complete own annotations (dataset.format: joint) and write what the methods read."""
    from vatrack.data.joint.prepare import prepare_joint

    settings = load_config(config, overrides)
    dataset = settings.dataset
    files = {"train": dataset.train_json, "valid": dataset.valid_json}
    if subset not in files:
        raise InputError(f"--subset {subset}: give train or valid")
    source, images = files[subset], dataset.images
    if dataset.format != "joint" or source is None or images is None:
        raise InputError(f"{config}: is not for own annotations; set dataset.format: joint")
    typer.echo(prepare_joint(source, images, dataset, out, settings.methods))


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
