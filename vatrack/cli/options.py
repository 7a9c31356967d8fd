"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vatrack.config import Backbone, Method

ConfigFile = Annotated[Path, typer.Option("--config", help="YAML config file.")]
Out = Annotated[Path, typer.Option("--out", help="Output file or folder.")]
MethodName = Annotated[Method, typer.Option("--method")]
BackboneName = Annotated[Backbone, typer.Option("--backbone")]
Raw = Annotated[Path, typer.Option(help="Raw folder: one folder per video.")]
Video = Annotated[str, typer.Option(help="Name of a video's folder.")]
Index = Annotated[Path, typer.Option(help="From `vatrack index`.")]
Structure = Annotated[
    Path, typer.Option(help="Dictionary of clips, from `vatrack cuts structure`.")
]
Processes = Annotated[int, typer.Option(min=1, help="Number of worker processes.")]
RunOut = Annotated[Path, typer.Option("--out", help="The run's folder.")]
Annotations = Annotated[
    Path, typer.Option(help="Folder with train/ and valid/ from `vatrack convert`.")
]
ClassMap = Annotated[
    list[str] | None,
    typer.Option(
        "--class-map",
        help="OLD=NEW: class OLD of the weights or predictions is NEW in the annotations; OLD= "
        "leaves it out (repeatable).",
    ),
]
Images = Annotated[Path, typer.Option(help="Clip tree from `vatrack clips`.")]
