"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vatrack.common.errors import InputError
from vatrack.config import Backbone, Method
from vatrack.runs.results import file_of_run

# Of files that commands write; a folder is hardly meant to be called so.
FILE_ENDINGS = (
    ".csv", ".gz", ".html", ".jpeg", ".jpg", ".json", ".jsonl", ".md", ".mp4", ".npz", ".pdf",
    ".png", ".pt", ".pth", ".safetensors", ".svg", ".tex", ".txt", ".yaml", ".yml",
)  # fmt: skip


def in_run(name: str) -> Callable[[Path | None], Path | None]:
    """What lets a run's folder stand for a file in it, see `vatrack.runs.results.file_of_run`."""
    return lambda value: None if value is None else file_of_run(value, name)


def _config(default: str = "") -> Any:
    text = f"YAML config file or run folder{default}."
    return typer.Option("--config", metavar="PATH", help=text, callback=in_run("config"))


ConfigFile = Annotated[Path, _config()]
AnyConfig = Annotated[Path | None, _config(" (default: built-in values)")]
RunsConfig = Annotated[Path | None, _config(" (default: that of --run)")]
CheckpointConfig = Annotated[Path | None, _config(" (default: settings of the checkpoint)")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a config key, for example training.epochs=6 (repeatable).",
    ),
]
_PREDICTIONS = "Predictions (JSON Lines or JSON array, also gzipped), or a folder with them"


def predictions_option(default: str = "") -> Any:
    """`--predictions`; `default` says what is taken without it."""
    text = f"{_PREDICTIONS}{default}."
    return typer.Option(metavar="PATH", help=text, callback=in_run("predictions"))


Predictions = Annotated[Path, predictions_option()]
PredictionsArgument = Annotated[
    Path,
    typer.Argument(metavar="PREDICTIONS", help=f"{_PREDICTIONS}.", callback=in_run("predictions")),
]
CheckpointFile = Annotated[
    Path,
    typer.Option(
        metavar="PATH",
        help="Checkpoint: best.pt of a run, an imported .pt, an exported .safetensors, or a run "
        "folder.",
        callback=in_run("best_checkpoint"),
    ),
]


def out_file(text: str) -> Any:
    """`--out` of a command that writes a file; `text` says which."""
    return typer.Option("--out", help=text)


def out_folder(text: str) -> Any:
    """`--out` of a command that writes a folder; `text` says what is in it."""
    return typer.Option("--out", metavar="FOLDER", help=text, callback=_refuse_file_name)


def _refuse_file_name(folder: Path | None) -> Path | None:
    """Refuses a new folder that is called like a file, as other commands write one."""
    if folder is None or folder.exists() or folder.suffix.lower() not in FILE_ENDINGS:
        return folder
    raise InputError(
        f"--out {folder}: the output is a folder, not a {folder.suffix} file; choose a name "
        "without this ending"
    )


def score_option(panel: str | None = None) -> Any:
    """`--score` of a command that draws predictions; `panel`: the part of the help it is in."""
    text = "Hide predictions with a lower score (0 to 1)."
    return typer.Option(help=text, rich_help_panel=panel)


def one_of(names: Iterable[str]) -> str:
    """The names as a choice, in words: a long list between brackets would break inside a name."""
    *first, last = names
    return f"{', '.join(first)} or {last}"


def _name(option: str, names: type[StrEnum], default: str = "") -> Any:
    text = f"{one_of(names)}{default}."
    return typer.Option(f"--{option}", metavar=option.upper(), help=text)


MethodName = Annotated[Method, _name("method", Method)]
BackboneName = Annotated[Backbone, _name("backbone", Backbone)]
OneMethod = Annotated[
    Method | None, _name("method", Method, " (default: the only one in the config)")
]
OneBackbone = Annotated[
    Backbone | None, _name("backbone", Backbone, " (default: the only one in the config)")
]
OneSeed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="One of the config's seeds (default: its only seed)."),
]
CheckpointMethod = Annotated[
    Method | None, _name("method", Method, " (only to verify the checkpoint)")
]
CheckpointBackbone = Annotated[
    Backbone | None, _name("backbone", Backbone, " (only to verify the checkpoint)")
]
Raw = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="Folder of the raw frames, with one folder per video."),
]
Videos = Annotated[
    list[str] | None,
    typer.Option(
        "--video", help="Name of a video (its folder name; repeatable; default: all of --raw)."
    ),
]
Index = Annotated[Path, typer.Option(help="Index file from `vatrack index`.")]
Structure = Annotated[Path, typer.Option(help="Clip dictionary from `vatrack cuts structure`.")]
Processes = Annotated[int, typer.Option(min=1, metavar="N", help="Number of worker processes.")]
RunOut = Annotated[Path, out_folder("Run folder.")]
Annotations = Annotated[
    Path,
    typer.Option(
        metavar="FOLDER", help="Folder with train/ and valid/ (`vatrack convert` or `prepare`)."
    ),
]
ClassMap = Annotated[
    list[str] | None,
    typer.Option(
        "--class-map",
        metavar="OLD=NEW",
        help="Rename class OLD of the weights or predictions to NEW of the annotations; OLD= drops "
        "it (repeatable).",
    ),
]
Images = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Folder of clips from `vatrack clips`.")
]


def shard_option(merge: str) -> Any:
    """`--shard` of a command whose shards another one merges."""
    return typer.Option(
        "--shard",
        metavar="NUMBER/COUNT",
        help="Process only this share of the clips, for example 1/4; then combine all with "
        f"`vatrack {merge}`.",
    )
