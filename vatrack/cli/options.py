"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vatrack.common.errors import InputError
from vatrack.config import Backbone, Method
from vatrack.runs.folder import RunFolder


def in_run(name: str) -> Callable[[Path | None], Path | None]:
    """What lets a run's folder stand for a file in it: `config`, `best_checkpoint`, ...

    Args:
        name: that of the file in `RunFolder`.
    """

    def file_of(value: Path | None) -> Path | None:
        if value is None or not value.is_dir():
            return value
        found: Path = getattr(RunFolder(value), name)
        if not found.is_file():
            raise InputError(
                f"{value}: a folder without {found.name}; name a file, or a run's folder that has "
                f"one"
            )
        return found

    return file_of


def _config(default: str = "") -> Any:
    text = f"YAML config file, or a run's folder{default}."
    return typer.Option("--config", help=text, callback=in_run("config"))


ConfigFile = Annotated[Path, _config()]
AnyConfig = Annotated[Path | None, _config(" (default: the built-in values)")]
RunsConfig = Annotated[Path | None, _config(" (default: that of --run)")]
CheckpointConfig = Annotated[Path | None, _config(" (default: the checkpoint's settings)")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the config, for example training.epochs=6 (repeatable).",
    ),
]
Predictions = Annotated[
    Path,
    typer.Option(
        help="JSON Lines or a JSON array (may be gzipped), or a run's folder.",
        callback=in_run("predictions"),
    ),
]
CheckpointFile = Annotated[
    Path,
    typer.Option(
        help="best.pt of a run, an imported .pt, an exported .safetensors, or a run's folder.",
        callback=in_run("best_checkpoint"),
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Output file or folder.")]


def _name(option: str, names: type[StrEnum], default: str = "") -> Any:
    *first, last = names
    text = f"{', '.join(first)} or {last}{default}."
    return typer.Option(f"--{option}", metavar=option.upper(), help=text)


MethodName = Annotated[Method, _name("method", Method)]
BackboneName = Annotated[Backbone, _name("backbone", Backbone)]
OneMethod = Annotated[Method | None, _name("method", Method, " (default: the config's only one)")]
OneBackbone = Annotated[
    Backbone | None, _name("backbone", Backbone, " (default: the config's only one)")
]
OneSeed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Which of the config's seeds (default: its only one)."),
]
CheckpointMethod = Annotated[
    Method | None, _name("method", Method, "; only to make sure: that of the checkpoint")
]
CheckpointBackbone = Annotated[
    Backbone | None, _name("backbone", Backbone, "; only to make sure: that of the checkpoint")
]
Raw = Annotated[Path, typer.Option(help="Raw folder: one folder per video.")]
Videos = Annotated[
    list[str] | None,
    typer.Option("--video", help="Name of a video's folder (repeatable); default: all of --raw."),
]
Index = Annotated[Path, typer.Option(help="From `vatrack index`.")]
Structure = Annotated[
    Path, typer.Option(help="Dictionary of clips, from `vatrack cuts structure`.")
]
Processes = Annotated[int, typer.Option(min=1, metavar="N", help="Number of worker processes.")]
RunOut = Annotated[Path, typer.Option("--out", help="The run's folder.")]
Annotations = Annotated[
    Path, typer.Option(help="Folder with train/ and valid/ from `vatrack convert`.")
]
ClassMap = Annotated[
    list[str] | None,
    typer.Option(
        "--class-map",
        metavar="OLD=NEW",
        help="Class OLD of the weights or predictions is NEW in the annotations; OLD= "
        "leaves it out (repeatable).",
    ),
]
Images = Annotated[Path, typer.Option(help="Clip tree from `vatrack clips`.")]


def shard_option(merge: str) -> Any:
    """`--shard` of a command whose shards another one merges."""
    return typer.Option(
        "--shard",
        metavar="NUMBER/COUNT",
        help=f"Only a share of the clips, for `vatrack {merge}`: 1/4 to 4/4.",
    )
