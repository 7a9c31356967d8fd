"""Paths of the config: those that Snakemake can have in its rules, those of files that are
there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vatrack.common.errors import ConfigError
from vatrack.common.text_files import said_missing
from vatrack.config import Config


def refuse_braces(config: Config) -> None:
    """Refuses paths that Snakemake would take for patterns with wildcards.

    Raises:
        InputError: a path has braces.
    """
    dataset = config.dataset
    own = ("images", "raw", "train_json", "valid_json")
    paths = [
        ("results", config.results),
        *((f"dataset.{key}", getattr(dataset, key)) for key in own),
        ("dataset.clips.structure", dataset.clips.structure),
        *(("dataset.archives", archive.path) for archive in dataset.archives),
    ]
    for key, path in paths:
        if set(str(path)) & set("{}"):
            raise ConfigError(
                key, f"{path}: paths with braces are not supported; choose another name"
            )


def require_there(
    key: str, path: Path, kind: Literal["file", "folder"], fix: str = "correct the path"
) -> None:
    """Sees that a file or folder is there. Of a missing one, Snakemake takes what was made of
    another before for up to date.

    Raises:
        InputError: it is not.
    """
    if not (path.is_dir() if kind == "folder" else path.is_file()):
        raise ConfigError(key, f"{said_missing(path, kind)}; {fix}")
