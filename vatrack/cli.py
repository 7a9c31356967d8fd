"""The one command, `vatrack`. Each subcommand parses, calls one function and prints one summary.

Heavy libraries (torch takes seconds) are imported inside the subcommands that need them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vatrack.config import Backbone, Config, Method, SyntheticConfig, json_schema, load_config, parse_config
from vatrack.errors import InputError
from vatrack.files import write_json, write_text, write_yaml

app = typer.Typer(
    name="vatrack",
    help="Amodal video instance segmentation on SAIL-VOS, stage by stage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cuts_app = typer.Typer(help="Where videos are cut into clips.", no_args_is_help=True)
app.add_typer(cuts_app, name="cuts")

ConfigFile = Annotated[Path, typer.Option("--config", help="YAML config file.")]
Out = Annotated[Path, typer.Option("--out", help="What is written.")]
MethodName = Annotated[Method, typer.Option("--method")]
BackboneName = Annotated[Backbone, typer.Option("--backbone")]


@app.command()
def config(
    out: Out,
    source: Annotated[Path | None, typer.Option("--config", help="YAML config file.")] = None,
    values: Annotated[str | None, typer.Option("--json", help="The config as JSON text.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Write the JSON schema instead.")] = False,
    reference: Annotated[bool, typer.Option("--reference", help="Write the list of all keys (Markdown) instead.")] = False,
) -> None:
    """Check a config and write it with all defaults filled in."""
    if schema:
        write_json(out, json_schema(), indent=2)
    elif reference:
        from vatrack.config_reference import config_reference

        write_text(out, config_reference())
    else:
        if source:
            checked = load_config(source)
        else:
            try:
                plain = json.loads(values or "{}")
            except json.JSONDecodeError as error:
                raise InputError(f"--json: not valid JSON ({error})") from None
            checked = parse_config(plain, "--json", Config)
        write_yaml(out, checked.model_dump(mode="json"))
    typer.echo(f"wrote {out}")


@app.command()
def synth(
    out: Out,
    source: Annotated[Path | None, typer.Option("--config", help="YAML config file; without it, the defaults.")] = None,
    train_videos: Annotated[int | None, typer.Option(help="Videos in train.json.")] = None,
    valid_videos: Annotated[int | None, typer.Option(help="Videos in valid.json.")] = None,
    frames: Annotated[int | None, typer.Option(help="Raw frames per video.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    objects: Annotated[int | None, typer.Option(help="Objects per shot, on average.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness.")] = None,
    processes: Annotated[int, typer.Option(help="Videos rendered at a time.")] = 1,
) -> None:
    """Render the miniature set in SAIL-VOS's own raw layout; options win over the config."""
    from vatrack.data.synthetic import render

    chosen = load_config(source) if source else Config()
    given = {"train_videos": train_videos, "valid_videos": valid_videos, "frames": frames}
    given |= {"width": width, "height": height, "objects": objects}
    values = chosen.dataset.synthetic.model_dump() | {key: value for key, value in given.items() if value is not None}
    settings = parse_config(values, "vatrack synth", SyntheticConfig)
    typer.echo(render(out, settings, chosen.seed if seed is None else seed, processes))


@app.command()
def index(
    raw: Annotated[Path, typer.Option(help="Raw folder: one folder per video.")],
    train: Annotated[Path, typer.Option(help="Official train.json.")],
    valid: Annotated[Path, typer.Option(help="Official valid.json.")],
    out: Out,
) -> None:
    """List the annotated frames of every video and check that they exist."""
    from vatrack.data.sailvos import build_index

    typer.echo(build_index(raw, {"train": train, "valid": valid}, out))


@cuts_app.command("score")
def cuts_score(
    raw: Annotated[Path, typer.Option()],
    index: Annotated[Path, typer.Option(help="From `vatrack index`.")],
    video: Annotated[str, typer.Option()],
    out: Out,
) -> None:
    """Measure the content change between the frames of one video."""
    from vatrack.data.cuts import score_video_file

    typer.echo(score_video_file(raw, index, video, out))


@cuts_app.command("structure")
def cuts_structure(
    config: ConfigFile,
    index: Annotated[Path, typer.Option(help="From `vatrack index`.")],
    out: Out,
    scores: Annotated[Path | None, typer.Option(help="Folder of score files; needed for clips.structure = detect.")] = None,
) -> None:
    """Write the dictionary of clips (clip name: file names)."""
    from vatrack.data.cuts import write_structure

    typer.echo(write_structure(load_config(config).dataset.clips, index, scores, out))


@app.command()
def clips(
    config: ConfigFile,
    raw: Annotated[Path, typer.Option()],
    structure: Annotated[Path, typer.Option(help="From `vatrack cuts structure`.")],
    out: Out,
) -> None:
    """Build the clip tree; the raw frames are linked or copied, never changed."""
    from vatrack.data.clips import build_clip_tree

    typer.echo(build_clip_tree(raw, structure, out, load_config(config).dataset.clips.mode))


@app.command()
def convert(
    config: ConfigFile,
    official: Annotated[Path, typer.Option(help="Official JSON of one subset.")],
    structure: Annotated[Path, typer.Option(help="From `vatrack cuts structure`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the four forms and the video ground truth.")],
) -> None:
    """Convert official annotations into the four training forms and the per-video ground truth."""
    from vatrack.data.annotations import convert_files

    typer.echo(convert_files(official, structure, load_config(config).dataset, out))


RunOut = Annotated[Path, typer.Option("--out", help="The run's folder.")]
Annotations = Annotated[Path, typer.Option(help="Folder with train/ and valid/ from `vatrack convert`.")]
Images = Annotated[Path, typer.Option(help="Clip tree from `vatrack clips`.")]


@app.command()
def train(
    config: ConfigFile, method: MethodName, backbone: BackboneName, annotations: Annotations, images: Images, out: RunOut
) -> None:
    """Train one method in this process."""
    from vatrack.training.loop import train as run

    typer.echo(run(load_config(config).for_run(method, backbone), annotations, images, out))


@app.command()
def launch(
    config: ConfigFile, method: MethodName, backbone: BackboneName, annotations: Annotations, images: Images, out: RunOut
) -> None:
    """Train one method in a job that submitit starts; wait for it and show its log."""
    from vatrack.training.launch import JobFailed
    from vatrack.training.launch import launch as submit

    try:
        typer.echo(submit(load_config(config).for_run(method, backbone), annotations, images, out))
    except JobFailed as error:
        print(f"vatrack: error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@app.command()
def select(run: Annotated[Path, typer.Option(help="The run's folder.")], config: ConfigFile, out: Out) -> None:
    """Choose the best checkpoint of a run by its validation metrics."""
    from vatrack.training.select import select_best

    typer.echo(select_best(run, load_config(config).selection, out))


@app.command()
def predict(
    config: ConfigFile,
    checkpoint: Annotated[Path, typer.Option()],
    method: MethodName,
    backbone: BackboneName,
    ground_truth: Annotated[Path, typer.Option(help="Frame-level JSON that lists the clips; its masks are not read.")],
    images: Images,
    out: Out,
) -> None:
    """Find, segment and track every object in the clips of a data set."""
    from vatrack.inference.predict import predict_files

    run = load_config(config).for_run(method, backbone)
    typer.echo(predict_files(run, checkpoint, ground_truth, images, out))


@app.command()
def evaluate(
    ground_truth: Annotated[Path, typer.Option(help="Joint-form JSON (may be gzipped).")],
    predictions: Annotated[Path, typer.Option(help="JSON Lines or a JSON array (may be gzipped).")],
    out: Out,
    video_ground_truth_amodal: Annotated[Path | None, typer.Option()] = None,
    video_ground_truth_visible: Annotated[Path | None, typer.Option()] = None,
    config: Annotated[Path | None, typer.Option("--config", help="For the protocol switches.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run's folder; it keeps the switches, its MLflow entry gets the metrics.")
    ] = None,
    legacy: Annotated[bool, typer.Option("--legacy", help="Ground truth with id 0 is never matched (quirk E1).")] = False,
) -> None:
    """Compute image, video and tracking metrics."""
    from vatrack.evaluation.evaluate import evaluate_files

    switches = (load_config(config) if config else Config()).evaluation
    if legacy:
        switches = switches.model_copy(update={"legacy_gt_id0": True})
    video = {"amodal": video_ground_truth_amodal, "visible": video_ground_truth_visible}
    typer.echo(evaluate_files(ground_truth, predictions, video, switches, out))
    if run:
        from vatrack.training.experiment_log import log_evaluation

        write_yaml(run / "evaluation.yaml", switches.model_dump(mode="json"))
        log_evaluation(run, out)


@app.command()
def tables(
    run: Annotated[list[str], typer.Option(help="METHOD/BACKBONE=metrics.json; repeat for every row.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the tables.")],
    log_run: Annotated[list[Path] | None, typer.Option(help="A run's folder; its MLflow entry gets the tables.")] = None,
) -> None:
    """Collect the metrics of runs into the paper's four tables (CSV, Markdown, LaTeX; all four in tables.html)."""
    from vatrack.reporting.page import write_page
    from vatrack.reporting.tables import write_tables

    shown = write_tables(run, out)
    write_page(shown, out / "tables.html")
    typer.echo(shown)
    if log_run:
        from vatrack.training.experiment_log import log_tables

        log_tables(log_run, out)


@app.command()
def figures(
    run: Annotated[list[Path], typer.Option(help="A run's folder; repeat for several.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the figures.")],
) -> None:
    """Draw the loss and metric curves of runs."""
    from vatrack.reporting.figures import write_curves

    typer.echo(write_curves(run, out))


@app.command()
def overlay(
    ground_truth: Annotated[Path, typer.Option(help="Frame-level JSON in the joint form.")],
    predictions: Annotated[Path, typer.Option()],
    images: Images,
    out: Annotated[Path, typer.Option("--out", help="A PNG contact sheet.")],
    score: Annotated[float, typer.Option(help="Predictions below this score are not drawn.")] = 0.5,
    clips: Annotated[int, typer.Option(help="How many clips are shown.")] = 3,
) -> None:
    """Draw ground truth and predictions side by side for a few clips."""
    from vatrack.reporting.overlay import write_contact_sheet

    typer.echo(write_contact_sheet(ground_truth, predictions, images, out, score=score, clips=clips))


def main() -> None:
    """Entry point. Exit codes: 0 done, 2 bad input (one message, no traceback), 1 a failure of the program itself."""
    try:
        app(standalone_mode=True)
    except InputError as error:
        print(f"vatrack: error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a missing permission: nothing that a traceback would explain
        print(f"vatrack: error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
